//! Shape rules: examples, constraints, attributes, and sizes that overflow.

use std::collections::BTreeSet;

use dl_compiler::expression::{Argument, Expression, Instruction, View};
use dl_compiler::graph::{Element, Type};
use dl_compiler::ops::fused::Fused;
use dl_compiler::ops::fused_sum::FusedSum;
use dl_compiler::ops::matmul::MatMul;
use dl_compiler::ops::max_pool2d::MaxPool2d;
use dl_compiler::ops::sum::Sum;
use dl_compiler::ops::{AttributeValue, Constant, Lowering, Op, PointwiseFn};
use dl_compiler::program::{Activation, Epilogue};
use proptest::prelude::*;

use crate::text::{infer, op, ty, types};

#[test]
fn examples_infer_as_stated() {
    for spec in Op::SPECS {
        for (operands, attributes, result) in spec.examples {
            let op = op(spec.name, attributes);
            assert_eq!(infer(&op, operands), Ok(ty(result)), "{} {operands}", spec.name);
            assert_eq!(op.arity(), types(operands).len(), "{}", spec.name);
        }
    }
}

fn convolution(given: &[(&'static str, i64)]) -> Op {
    integers("convolution2d", given)
}

fn integers(name: &str, given: &[(&'static str, i64)]) -> Op {
    let given: Vec<_> = given.iter().map(|(name, value)| (*name, Constant::Integer(*value))).collect();
    op(name, &given)
}

fn fused(views: &[(usize, usize)], arguments: Vec<Argument>) -> Fused {
    let views = views.iter().map(|&(inner, len)| View { inner, len }).collect();
    let name = String::new();
    let instructions = vec![Instruction { function: PointwiseFn::Negate, arguments, name }];
    Fused { expression: Expression { views, instructions }, ty: ty("[6]") }
}

fn fused_sum(axis: usize, count: usize) -> Op {
    FusedSum { terms: fused(&[(1, 6)], vec![Argument::Operand(0)]), sum: Sum { axis, count } }.into()
}

fn pool_of(terms: Fused) -> Op {
    MaxPool2d { kernel: [1, 1], stride: [1, 1], padding: [0, 0], prologue: Some(terms) }.into()
}

/// For every constraint of every operation, operands that break it and no earlier one.
fn violations() -> Vec<(Op, &'static str, usize)> {
    let mut table = Vec::new();
    for spec in Op::SPECS.iter().filter(|spec| spec.pointwise) {
        let op = op(spec.name, &[]);
        match spec.operands.len() {
            1 => table.push((op, "index(3)[2]", 1)),
            2 => {
                table.push((op.clone(), "[2], index(3)[2]", 1));
                table.push((op, "[2], [3]", 2));
            }
            _ => {
                table.push((op.clone(), "[2], [2], [2]", 1));
                table.push((op.clone(), "bool[2], [2], bool[2]", 2));
                table.push((op, "bool[2], [2], [3]", 3));
            }
        }
    }
    let bias = Epilogue { bias: true, activation: Activation::Identity, ..Epilogue::default() };
    let with_epilogue = |op: Op| match op {
        Op::MatMul(op) => Op::from(MatMul { epilogue: bias, ..op }),
        Op::Convolution2d(mut op) => {
            op.epilogue = bias;
            op.into()
        }
        Op::Depthwise2d(mut op) => {
            op.epilogue = bias;
            op.into()
        }
        Op::Convolution2dInput(mut op) => {
            op.epilogue = Epilogue { residual: true, ..Epilogue::default() };
            op.into()
        }
        other => other,
    };
    let pool = |name: &str, kernel: i64, padding: i64| integers(name, &[("kernel", kernel), ("padding", padding)]);
    let average = |size: i64, kernel: i64, padding: i64| {
        let size = [("height", size), ("width", size)];
        integers("avg_pool2d_gradient", &[&size[..], &[("kernel", kernel), ("padding", padding)]].concat())
    };
    let image = |channels: i64, groups: i64| {
        let size = [("channels", channels), ("height", 8), ("width", 8), ("groups", groups)];
        integers("convolution2d_input", &size)
    };
    table.extend([
        (integers("reshape", &[("dims", 5)]), "[2, 3]", 1),
        (op("flatten", &[]), "[4294967296, 4294967296, 2]", 1),
        (integers("expand", &[("axis", 0), ("dims", 5)]), "index(4)[1]", 1),
        (integers("expand", &[("axis", 0), ("dims", 5)]), "[2, 1]", 2),
        (integers("expand", &[("axis", 2), ("dims", 5)]), "[1, 1]", 2),
        (integers("sum", &[("axis", 0), ("count", 1)]), "bool[3]", 1),
        (integers("sum", &[("axis", 1), ("count", 2)]), "[3, 4]", 2),
        (integers("reverse", &[("axis", 0)]), "bool[3]", 1),
        (integers("reverse", &[("axis", 1)]), "[3]", 2),
        (integers("scan_step", &[("scan", 0), ("length", 4)]), "[3, 4]", 1),
        (integers("stack", &[("scan", 0), ("length", 4)]), "index(3)[4]", 1),
        (integers("carry", &[("scan", 0), ("index", 0)]), "bool[4]", 1),
        (integers("next", &[("scan", 0), ("index", 0)]), "bool[4]", 1),
        (integers("last", &[("scan", 0), ("index", 0)]), "bool[4]", 1),
        (integers("slice", &[("axis", 0), ("start", 0), ("len", 1)]), "bool[3]", 1),
        (integers("slice", &[("axis", 1), ("start", 0), ("len", 1)]), "[3]", 2),
        (integers("slice", &[("axis", 0), ("start", 2), ("len", 2)]), "[3]", 3),
        (integers("pad", &[("axis", 0)]), "index(4)[3]", 1),
        (integers("pad", &[("axis", 2)]), "[3, 4]", 2),
        (integers("concat", &[("axis", 0)]), "[3], bool[3]", 1),
        (integers("concat", &[("axis", 0)]), "[3], []", 2),
        (integers("concat", &[("axis", 1)]), "[3, 4], [2, 4]", 3),
        (integers("concat", &[("axis", 1)]), "[3, 4], [3, 4, 1]", 3),
        (op("sum_batch", &[]), "[3] batch-wide", 1),
        (op("matmul", &[]), "[3] batch-wide, [3, 4] batch-wide", 1),
        (op("matmul", &[]), "[], [3, 4] batch-wide", 1),
        (op("matmul", &[]), "[5], [3, 4] batch-wide", 2),
        (op("matmul", &[("transposed", Constant::Bool(true))]), "[3], [3, 4] batch-wide", 2),
        (op("matmul", &[]), "[3], [3, 4]", 3),
        (op("matmul", &[]), "[3], [3] batch-wide", 3),
        (with_epilogue(op("matmul", &[])), "[3], [3, 4] batch-wide, [3] batch-wide", 4),
        (op("transpose", &[("axes", Constant::List(&[0]))]), "bool[3]", 1),
        (op("transpose", &[("axes", Constant::List(&[1, 0]))]), "[3]", 2),
        (op("transpose", &[("axes", Constant::List(&[1, 1]))]), "[3, 4]", 2),
        (op("batched_matmul", &[]), "[3], [3]", 1),
        (op("batched_matmul", &[]), "[2, 3], [4, 3, 4]", 2),
        (op("batched_matmul", &[]), "[2, 3, 3], [3, 3, 4]", 3),
        (op("batched_matmul", &[]), "[2, 3], [4, 3]", 4),
        (op("batched_matmul", &[("transposed_a", Constant::Bool(true))]), "[2, 3], [3, 4]", 4),
        (op("gather", &[]), "[5, 2], index(5)[]", 1),
        (op("gather", &[]), "[] batch-wide, index(5)[]", 1),
        (op("gather", &[]), "[5, 2] batch-wide, [3]", 2),
        (op("gather", &[]), "[5, 2] batch-wide, index(6)[3]", 3),
        (integers("gather_gradient", &[("rows", 5)]), "[3], [3, 2]", 1),
        (integers("gather_gradient", &[("rows", 5)]), "index(5)[3], [3, 2] batch-wide", 2),
        (integers("gather_gradient", &[("rows", 5)]), "index(5)[3], [2, 2]", 3),
        (integers("gather_gradient", &[("rows", 5)]), "index(6)[3], [3, 2]", 4),
        (integers("max_reduce", &[("axis", 0), ("count", 1)]), "bool[3]", 1),
        (integers("max_reduce", &[("axis", 1), ("count", 1)]), "[3]", 2),
        (integers("deviations", &[("axis", 0), ("count", 1)]), "bool[3]", 1),
        (integers("deviations", &[("axis", 1), ("count", 1)]), "[3]", 2),
        (op("log_softmax", &[]), "[]", 1),
        (op("argmax", &[]), "bool[3]", 1),
        (op("convolution2d_transpose", &[]), "[8, 8], [2, 1, 3, 3] batch-wide", 1),
        (op("convolution2d_transpose", &[]), "[2, 8, 8], [2, 1, 3] batch-wide", 2),
        (op("convolution2d_transpose", &[]), "[2, 8, 8], [2, 1, 3, 3]", 2),
        (op("convolution2d_transpose", &[]), "[2, 8, 8], [3, 1, 3, 3] batch-wide", 3),
        (integers("convolution2d_transpose", &[("groups", 2)]), "[3, 8, 8], [3, 1, 3, 3] batch-wide", 3),
        (integers("convolution2d_transpose", &[("padding", 3)]), "[2, 2, 2], [2, 1, 3, 3] batch-wide", 4),
        (integers("convolution2d_transpose", &[("output_padding", 1)]), "[2, 2, 2], [2, 1, 3, 3] batch-wide", 4),
        (integers("one_hot", &[("classes", 5)]), "[3]", 1),
        (integers("one_hot", &[("classes", 5)]), "index(6)[3]", 2),
        (op("float", &[]), "[3]", 1),
        (op("matmul_weights", &[]), "[3], []", 1),
        (op("matmul_weights", &[]), "[2, 3], [3, 3]", 2),
        (convolution(&[]), "[8, 8], [2, 1, 3, 3] batch-wide", 1),
        (convolution(&[]), "[1, 8, 8], [1, 3, 3] batch-wide", 2),
        (convolution(&[("groups", 2)]), "[3, 8, 8], [2, 1, 3, 3] batch-wide", 3),
        (convolution(&[("groups", 2)]), "[2, 8, 8], [3, 1, 3, 3] batch-wide", 3),
        (convolution(&[("groups", 2)]), "[4, 8, 8], [2, 1, 3, 3] batch-wide", 4),
        (convolution(&[]), "[1, 2, 8], [2, 1, 3, 3] batch-wide", 5),
        (convolution(&[("dilation", 4)]), "[1, 8, 8], [2, 1, 3, 3] batch-wide", 5),
        (with_epilogue(convolution(&[])), "[1, 8, 8], [2, 1, 3, 3] batch-wide, [2]", 6),
        (op("depthwise2d", &[]), "[8, 8], [3, 3, 2] batch-wide", 1),
        (op("depthwise2d", &[]), "[8, 8, 2], [3, 3, 2]", 2),
        (op("depthwise2d", &[]), "[8, 8, 2], [3, 2] batch-wide", 2),
        (op("depthwise2d", &[]), "[8, 8, 2], [3, 3, 1] batch-wide", 2),
        (integers("depthwise2d", &[("dilation", 4)]), "[8, 8, 2], [3, 3, 2] batch-wide", 3),
        (with_epilogue(op("depthwise2d", &[])), "[8, 8, 2], [3, 3, 2] batch-wide, [3] batch-wide", 4),
        (image(1, 1), "[2, 36], [2, 1, 3, 3] batch-wide", 1),
        (image(1, 1), "[2, 6, 6], [2, 1, 3, 3]", 2),
        (image(3, 2), "[2, 6, 6], [2, 1, 3, 3] batch-wide", 2),
        (image(1, 1), "[2, 6, 5], [2, 1, 3, 3] batch-wide", 3),
        (with_epilogue(image(1, 1)), "[2, 6, 6], [2, 1, 3, 3] batch-wide, [1, 8, 7]", 4),
        (integers("convolution2d_weight", &[("kernel", 3)]), "[8, 8], [2, 6, 6]", 1),
        (integers("convolution2d_weight", &[("kernel", 3)]), "[1, 8, 8], [2, 36]", 2),
        (integers("convolution2d_weight", &[("kernel", 3)]), "[1, 8, 8], [2, 7, 6]", 3),
        (average(4, 2, 0), "[4]", 1),
        (average(4, 2, 2), "[1, 2, 2]", 2),
        (average(1, 2, 0), "[1, 2, 2]", 3),
        (average(4, 2, 0), "[1, 2, 3]", 4),
        (pool("max_pool2d_gradient", 2, 0), "[1, 4, 4], [1, 3, 2]", 4),
        (op("softmax", &[]), "[3] batch-wide", 1),
        (op("softmax_gradient", &[]), "[], [3]", 1),
        (op("causal_softmax", &[]), "[3]", 1),
        (op("causal_softmax", &[]), "[3, 3] batch-wide", 1),
        (op("causal_softmax_gradient", &[]), "[3], [3]", 1),
        (op("causal_softmax_gradient", &[]), "[3, 3], [3, 4]", 2),
        (op("softmax_gradient", &[]), "[3], [4]", 2),
        (op("cross_entropy_gradient", &[]), "[3], index(3)[], [1]", 5),
        (fused_sum(0, 1), "[5]", 1),
        (fused_sum(1, 1), "[6]", 2),
        (pool_of(fused(&[(1, 6)], vec![Argument::Operand(0)])), "[5]", 1),
        (fused(&[(1, 6)], vec![Argument::Operand(0)]).into(), "index(3)[6]", 1),
        (fused(&[(1, 6)], vec![Argument::Operand(0)]).into(), "[5]", 2),
        (fused(&[(1, 4)], vec![Argument::Operand(0)]).into(), "[4] batch-wide", 3),
        (fused(&[(1, 3)], vec![Argument::Operand(0)]).into(), "[3]", 4),
        (fused(&[(1, 6)], vec![Argument::Operand(1)]).into(), "[6]", 5),
        (fused(&[(1, 6)], vec![Argument::Instruction(0)]).into(), "[6]", 5),
    ]);
    for name in ["max_pool2d", "avg_pool2d"] {
        table.push((pool(name, 2, 0), "[4, 4]", 1));
        table.push((pool(name, 2, 2), "[1, 4, 4]", 2));
        table.push((pool(name, 5, 0), "[1, 4, 4]", 3));
    }
    table.push((pool("max_pool2d_gradient", 2, 0), "[4, 4], [1, 2, 2]", 1));
    table.push((pool("max_pool2d_gradient", 2, 2), "[1, 4, 4], [1, 2, 2]", 2));
    table.push((pool("max_pool2d_gradient", 5, 0), "[1, 4, 4], [1, 2, 2]", 3));
    for name in ["cross_entropy", "accuracy"] {
        table.push((op(name, &[]), "[3] batch-wide, index(3)[]", 1));
        table.push((op(name, &[]), "[3], []", 2));
        table.push((op(name, &[]), "[2, 3], index(3)[]", 3));
        table.push((op(name, &[]), "[3], index(4)[]", 4));
    }
    for (operands, constraint) in
        [("[], index(3)[], []", 1), ("[3], [], []", 2), ("[2, 3], index(3)[3], [2]", 3), ("[3], index(2)[], []", 4)]
    {
        table.push((op("cross_entropy_gradient", &[]), operands, constraint));
    }
    table
}

#[test]
fn every_constraint_is_violated_once() {
    let mut seen = BTreeSet::new();
    for (op, operands, constraint) in violations() {
        let violation = infer(&op, operands).expect_err(&format!("{op} of {operands} infers"));
        assert_eq!(violation.constraint, constraint, "{op} of {operands}: {}", violation.message);
        assert!(violation.operand < types(operands).len().max(1), "{op}: {violation:?}");
        assert!(violation.message.starts_with("expected "), "{}", violation.message);
        assert!(violation.message.contains(", found "), "{}", violation.message);
        seen.insert((op.name(), constraint));
    }
    for spec in Op::SPECS {
        for constraint in 1..=spec.constraints.len() {
            assert!(seen.contains(&(spec.name, constraint)), "{} C{constraint} is not tried", spec.name);
        }
    }
}

#[test]
fn a_wrong_number_of_operands_is_no_constraint() {
    let violation = infer(&op("add", &[]), "[3]").unwrap_err();
    assert_eq!((violation.constraint, violation.message.as_str()), (0, "expected 2 operands, found 1"));
}

#[test]
fn messages_say_what_was_expected() {
    let message = |op: &Op, operands| infer(op, operands).unwrap_err().message;
    assert_eq!(
        message(&op("matmul", &[]), "[676], [784, 120] batch-wide"),
        "expected 784 as the last dimension, to multiply by [784, 120] batch-wide, found [676]"
    );
    assert_eq!(
        message(&convolution(&[]), "[10], [6, 1, 5, 5] batch-wide"),
        "expected [channels, height, width], found [10]"
    );
    assert_eq!(message(&op("cross_entropy", &[]), "[10], index(12)[]"), "expected index(10), found index(12)[]");
}

#[test]
fn attributes_out_of_range_name_their_place() {
    use AttributeValue::{Bool, Float, Integer, List};
    let kernel = |value| vec![value, Integer(1), Integer(0)];
    let cases: [(&str, Vec<AttributeValue>, usize); 9] = [
        ("max_pool2d", kernel(Integer(0)), 0),
        ("max_pool2d", kernel(Float(2.0)), 0),
        ("max_pool2d", kernel(List(vec![Integer(1)])), 0),
        ("convolution2d", vec![Integer(-1), Integer(0), Integer(1), Integer(1)], 0),
        ("convolution2d", vec![Integer(1), Integer(-1), Integer(1), Integer(1)], 1),
        ("convolution2d", vec![Integer(1), Integer(0), Integer(1), Integer(i64::MAX)], 3),
        ("reshape", vec![List(vec![Integer(3), Bool(true)])], 0),
        ("bernoulli", vec![Float(1.5), Integer(0), Integer(1)], 0),
        ("matmul", vec![Integer(1)], 0),
    ];
    for (name, values, place) in cases {
        let (found, message) = Op::build(name, &values).unwrap().unwrap_err();
        assert_eq!(found, place, "{name}: {message}");
        assert!(message.starts_with("expected "), "{message}");
    }
    assert!(Op::build("no_such_operation", &[]).is_none());
    assert!(Op::build("input", &[]).unwrap().is_err());
    assert!(Op::build("fused", &[]).unwrap().is_err());
}

#[test]
fn dumps_show_attributes() {
    assert_eq!(
        convolution(&[("padding", 2)]).to_string(),
        "convolution2d stride: [1, 1], padding: [2, 2], dilation: [1, 1], groups: 1"
    );
    assert_eq!(
        integers("max_pool2d", &[("kernel", 2)]).to_string(),
        "max_pool2d kernel: [2, 2], stride: [2, 2], padding: [0, 0]"
    );
    let epilogue = Epilogue { bias: true, activation: Activation::Relu, ..Epilogue::default() };
    assert_eq!(Op::from(MatMul { transposed: false, epilogue }).to_string(), "matmul +bias relu");
    assert_eq!(op("relu", &[]).to_string(), "relu");
}

#[test]
fn pointwise_operations_become_functions() {
    for spec in Op::SPECS.iter().filter(|spec| spec.pointwise) {
        let (operands, attributes, result) = spec.examples[0];
        let operands = types(operands);
        let lowering = op(spec.name, attributes).lower(&operands.iter().collect::<Vec<_>>(), &ty(result));
        let Lowering::Pointwise(function) = lowering else { panic!("{} is {lowering:?}", spec.name) };
        let arguments = [0.25, 0.5, 0.75];
        assert!(!function.eval(&arguments[..operands.len()]).is_nan(), "{} takes other operands", spec.name);
    }
}

#[test]
fn work_is_counted() {
    let flops = |op: Op, operands: &str| {
        let result = infer(&op, operands).unwrap();
        let operands = types(operands);
        op.flops(&operands.iter().collect::<Vec<_>>(), &result)
    };
    assert_eq!(flops(op("matmul", &[]), "[64], [64, 128] batch-wide"), 2 * 64 * 128);
    let epilogue = Epilogue { bias: true, activation: Activation::Identity, ..Epilogue::default() };
    let dense = MatMul { transposed: false, epilogue };
    assert_eq!(flops(dense.into(), "[64], [64, 128] batch-wide, [128] batch-wide"), 16_512);
    let images = "[4, 9, 8], [6, 2, 3, 3] batch-wide";
    assert_eq!(flops(convolution(&[("groups", 2)]), images), 2 * 6 * 7 * 6 * 2 * 3 * 3);
    assert_eq!(flops(op("add", &[]), "[3, 4], [3, 4]"), 12);
    assert_eq!(flops(op("flatten", &[]), "[3, 4]"), 0);
}

/// Places a kernel of `reach` elements can stand at along an axis, counted one by one.
fn count(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> usize {
    let padded = size + 2 * padding;
    (0..padded).step_by(stride).filter(|start| start + dilation * (kernel - 1) < padded).count()
}

/// Sizes at both ends: small ones that may fit, and ones whose products overflow.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..12usize, 1 => Just(i32::MAX as usize), 1 => Just(usize::MAX), 1 => any::<usize>()]
}

fn any_type() -> impl Strategy<Value = Type> {
    let element = prop_oneof![Just(Element::F32), Just(Element::Bool), size().prop_map(Element::Index)];
    (prop_oneof![4 => Just(Element::F32), 1 => element], prop::collection::vec(size(), 0..5), any::<bool>())
        .prop_map(|(element, dims, per_example)| Type { element, dims, per_example })
}

fn any_value() -> impl Strategy<Value = AttributeValue> {
    let integer = prop_oneof![
        4 => (-1..12i64).prop_map(AttributeValue::Integer),
        1 => any::<i64>().prop_map(AttributeValue::Integer),
        1 => Just(AttributeValue::Integer(i64::from(i32::MAX))),
        1 => any::<f64>().prop_map(AttributeValue::Float),
        1 => any::<bool>().prop_map(AttributeValue::Bool),
    ];
    prop_oneof![3 => integer.clone(), 1 => prop::collection::vec(integer, 0..4).prop_map(AttributeValue::List)]
}

proptest! {
    #[test]
    fn windows_are_counted_right(
        size in prop::array::uniform2(1..12usize), kernel in prop::array::uniform2(1..5usize),
        stride in prop::array::uniform2(1..4usize), padding in prop::array::uniform2(0..4usize),
        dilation in prop::array::uniform2(1..4usize),
    ) {
        let pair = |values: [usize; 2]| {
            AttributeValue::List(values.iter().map(|value| AttributeValue::Integer(*value as i64)).collect())
        };
        let counted: Vec<usize> =
            (0..2).map(|axis| count(size[axis], kernel[axis], stride[axis], padding[axis], dilation[axis])).collect();
        let attributes = [pair(stride), pair(padding), pair(dilation), AttributeValue::Integer(1)];
        let op = Op::build("convolution2d", &attributes).unwrap().unwrap();
        let x = Type::per_example([1, size[0], size[1]]);
        let weight = Type::batch_wide([2, 1, kernel[0], kernel[1]]);
        match op.infer(&[&x, &weight]) {
            Ok(ty) => prop_assert_eq!(&ty.dims[1..], &counted[..]),
            Err(violation) => {
                prop_assert_eq!(violation.constraint, 5);
                prop_assert!(counted.contains(&0));
            }
        }
    }

    #[test]
    fn no_attribute_and_no_size_is_too_strange(
        which in 0..Op::SPECS.len(),
        values in prop::collection::vec(any_value(), 8),
        operands in prop::collection::vec(any_type(), 3),
    ) {
        let spec = Op::SPECS[which];
        if let Some(Ok(op)) = Op::build(spec.name, &values[..spec.attributes.len()]) {
            let operands: Vec<&Type> = operands.iter().take(op.arity()).collect();
            let _ = op.to_string();
            if let Ok(result) = op.infer(&operands) {
                let _ = op.lower(&operands, &result);
                let _ = result.to_string();
            }
        }
    }

    #[test]
    fn kernels_fit_or_are_refused_at_any_size(
        channels in size(), height in size(), width in size(), filters in size(), kernel in size(),
        values in prop::collection::vec(prop_oneof![1..8i64, Just(i64::from(i32::MAX))], 4),
    ) {
        let attributes: Vec<AttributeValue> = values.into_iter().map(AttributeValue::Integer).collect();
        let x = Type::per_example([channels, height, width]);
        let convolution = Op::build("convolution2d", &attributes).unwrap().unwrap();
        let weight = Type::batch_wide([filters, channels, kernel, kernel]);
        if let Ok(result) = convolution.infer(&[&x, &weight]) {
            let _ = (convolution.lower(&[&x, &weight], &result), convolution.flops(&[&x, &weight], &result));
        }
        for name in ["max_pool2d", "avg_pool2d"] {
            let pool = Op::build(name, &attributes[..3]).unwrap().unwrap();
            if let Ok(result) = pool.infer(&[&x]) {
                let _ = (pool.lower(&[&x], &result), pool.flops(&[&x], &result));
            }
        }
    }
}
