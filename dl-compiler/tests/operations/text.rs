//! Types and operations from the small texts that examples are written in.

use dl_compiler::graph::{Element, Type};
use dl_compiler::ops::{AttributeValue, Constant, Op};

/// `index(10)[7] batch-wide`
pub(crate) fn ty(text: &str) -> Type {
    let (head, rest) = text.trim().split_once('[').unwrap();
    let (dims, tail) = rest.split_once(']').unwrap();
    let element = match head {
        "" => Element::F32,
        "bool" => Element::Bool,
        index => {
            let bound = index.strip_prefix("index(").and_then(|bound| bound.strip_suffix(')'));
            Element::Index(bound.unwrap().parse().unwrap())
        }
    };
    let dims = dims.split(',').filter(|dim| !dim.trim().is_empty());
    let dims = dims.map(|dim| dim.trim().parse().unwrap()).collect();
    let per_example = match tail.trim() {
        "" => true,
        "batch-wide" => false,
        other => panic!("{other} in {text}"),
    };
    Type { element, dims, per_example }
}

/// Types separated by commas.
pub(crate) fn types(text: &str) -> Vec<Type> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for character in text.chars() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        match (character, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(character),
        }
    }
    parts.iter().filter(|part| !part.trim().is_empty()).map(|part| ty(part)).collect()
}

/// The operation of that name with the given attributes and defaults for the others.
pub(crate) fn op(name: &str, given: &[(&str, Constant)]) -> Op {
    let spec = Op::SPECS.iter().find(|spec| spec.name == name).unwrap();
    for (name, _) in given {
        assert!(spec.attributes.iter().any(|attribute| attribute.name == *name), "{name}");
    }
    let mut values: Vec<AttributeValue> = Vec::new();
    for attribute in spec.attributes {
        let written = given.iter().find(|(name, _)| *name == attribute.name).map(|(_, value)| *value);
        let constant = written.or(attribute.default).unwrap();
        values.push(AttributeValue::default(constant, &values).unwrap());
    }
    Op::build(name, &values).unwrap().unwrap()
}

/// What an operation infers from the types in `operands`.
pub(crate) fn infer(op: &Op, operands: &str) -> Result<Type, dl_compiler::ops::Violation> {
    let types = types(operands);
    op.infer(&types.iter().collect::<Vec<_>>())
}

#[test]
fn types_read_as_they_are_shown() {
    for text in ["[]", "[3, 4] batch-wide", "index(10)[7]", "bool[2]"] {
        assert_eq!(ty(text).to_string(), text);
    }
}
