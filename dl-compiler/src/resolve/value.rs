//! Values at compile time: what an expression stands for while a program is resolved.
//!
//! A tensor is known by its node; everything else is known in full. [`Value::Poison`] stands for what is wrong already:
//! whatever meets it becomes poison too and says nothing.

use std::rc::Rc;

use dl_grammar::{FileId, Span, ast};

use super::axes::Axis;
use super::builtin::Builtin;
use super::operation::TAKE_OVER;
use super::stage::LayerValue;
use crate::graph::NodeId;
use crate::model::Initializer;
use crate::ops::{AttributeValue, Spec};

/// What an expression stands for.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// A whole number.
    Integer(i64),
    /// A finite floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// Numbers and truth values.
    List(Rc<[AttributeValue]>),
    /// A value of the network.
    Tensor(NodeId),
    /// What a parameter holds before training.
    Initializer(Initializer),
    /// Something that can be called.
    Callable(Callee<'a>),
    /// A call without its operands, or a pipeline or repetition of such.
    Layer(Rc<LayerValue<'a>>),
    /// Several values, as `split` yields them; `a, b = …;` takes them apart.
    Tuple(Rc<[Value<'a>]>),
    /// Axes, as `over:`, `axis:` and `axes:` take them, each with its place.
    Axes(Rc<[(Axis<'a>, Span)]>),
    /// Something wrong, about which a diagnostic has been given.
    Poison,
}

impl Value<'_> {
    /// Whether it is wrong already.
    pub(super) fn is_poison(&self) -> bool {
        matches!(self, Value::Poison)
    }

    /// The number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// What messages call it: `the integer 5`, `a tensor`.
    pub(super) fn describe(&self) -> String {
        match self {
            Value::Integer(value) => format!("the integer {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Bool(value) => format!("`{value}`"),
            Value::Text(_) => "a text".to_owned(),
            Value::List(_) => format!("the list {}", self.show()),
            Value::Tensor(_) => "a tensor".to_owned(),
            Value::Initializer(_) => "an initializer".to_owned(),
            Value::Callable(callee) => format!("the callable `{}`", callee.name()),
            Value::Layer(layer) => format!("the layer `{}`", layer.name()),
            Value::Tuple(parts) => format!("{} values", parts.len()),
            Value::Axes(_) => "axes".to_owned(),
            Value::Poison => "nothing".to_owned(),
        }
    }

    /// How it is written; long lists are cut.
    pub(super) fn show(&self) -> String {
        const SHOWN: usize = 8;
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Text(text) => (*text).to_owned(),
            Value::List(values) => {
                let mut shown: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
                if values.len() > SHOWN {
                    shown.push("…".to_owned());
                }
                format!("[{}]", shown.join(", "))
            }
            Value::Callable(callee) => callee.name().to_owned(),
            Value::Layer(layer) => layer.name().to_owned(),
            Value::Tensor(_) | Value::Initializer(_) | Value::Tuple(_) | Value::Axes(_) | Value::Poison => {
                self.describe()
            }
        }
    }

    /// The value as an operation takes it for an attribute.
    pub(super) fn attribute(&self) -> Option<AttributeValue> {
        match self {
            Value::Integer(value) => Some(AttributeValue::Integer(*value)),
            Value::Float(value) => Some(AttributeValue::Float(*value)),
            Value::Bool(value) => Some(AttributeValue::Bool(*value)),
            Value::List(values) => Some(AttributeValue::List(values.to_vec())),
            _ => None,
        }
    }
}

/// Where a declaration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// In that file of the user's.
    User(FileId),
    /// In the standard library.
    Library,
}

impl Home {
    /// Whether the user wrote it.
    pub(super) fn is_user(self) -> bool {
        self != Home::Library
    }
}

/// What can be called.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee<'a> {
    /// `fn name(…) = …;`
    Function(&'a ast::Function, Home),
    /// `layer name(…) { … }`
    Layer(&'a ast::Layer, Home),
    /// `network Name { … }`
    Network(&'a ast::Network),
    /// `network Small = Name(width: 64);`
    Instance(&'a ast::Instance),
    /// An operation.
    Operation(&'static Spec),
    /// What resolve itself knows.
    Builtin(&'static Builtin),
}

impl<'a> Callee<'a> {
    /// What it is called.
    pub(super) fn name(&self) -> &'a str {
        match self {
            Callee::Function(function, _) => &function.name.text,
            Callee::Layer(layer, _) => &layer.name.text,
            Callee::Network(network) => &network.name.text,
            Callee::Instance(instance) => &instance.name.text,
            Callee::Operation(spec) => spec.name,
            Callee::Builtin(builtin) => builtin.name,
        }
    }

    /// Where it is declared, if it is written in the language.
    pub(super) fn home(&self) -> Option<Home> {
        match self {
            Callee::Function(_, home) | Callee::Layer(_, home) => Some(*home),
            Callee::Network(network) => Some(Home::User(network.name.span.file)),
            Callee::Instance(instance) => Some(Home::User(instance.name.span.file)),
            Callee::Operation(_) | Callee::Builtin(_) => None,
        }
    }

    /// The names of what it takes, in the order in which calls fill them; none for a network, whose arguments are named.
    pub(super) fn slots(&self) -> Vec<&'a str> {
        let declared = |arguments: &'a [ast::Argument], is_operand: fn(&ast::Argument) -> bool| -> Vec<&'a str> {
            let operands = arguments.iter().filter(|argument| is_operand(argument));
            let attributes = arguments.iter().filter(|argument| !is_operand(argument));
            operands.chain(attributes).map(|argument| argument.name.text.as_str()).collect()
        };
        match self {
            Callee::Function(function, _) => declared(&function.arguments, |argument| argument.default.is_none()),
            Callee::Layer(layer, _) => declared(&layer.arguments, |argument| argument.pattern.is_some()),
            Callee::Network(_) | Callee::Instance(_) => Vec::new(),
            Callee::Operation(spec) => {
                spec.operands.iter().copied().chain(spec.attributes.iter().map(|attribute| attribute.name)).collect()
            }
            Callee::Builtin(builtin) => builtin.arguments.iter().map(|name| name.trim_end_matches('?')).collect(),
        }
    }

    /// How its call is written: `dense(x, units, bias = …)`.
    pub(super) fn signature(&self) -> String {
        let declared = |arguments: &[ast::Argument]| -> Vec<String> {
            let shown = |argument: &ast::Argument| match argument.default {
                Some(_) => format!("{} = …", argument.name.text),
                None => argument.name.text.clone(),
            };
            arguments.iter().map(shown).collect()
        };
        let arguments = match self {
            Callee::Function(function, _) => declared(&function.arguments),
            Callee::Layer(layer, _) => declared(&layer.arguments),
            Callee::Network(network) => {
                let inputs = network.members.iter().filter_map(|member| match member {
                    ast::Member::Input(field) => Some(field.name.text.clone()),
                    _ => None,
                });
                inputs.chain(declared(&network.arguments)).collect()
            }
            Callee::Instance(_) => vec!["…".to_owned()],
            Callee::Operation(spec) => {
                let attributes = spec.attributes.iter().map(|attribute| match attribute.default {
                    Some(_) => format!("{} = …", attribute.name),
                    None => attribute.name.to_owned(),
                });
                let over = TAKE_OVER.contains(&spec.name).then(|| "over = …".to_owned());
                spec.operands.iter().map(|name| (*name).to_owned()).chain(attributes).chain(over).collect()
            }
            Callee::Builtin(builtin) => {
                let shown = |name: &&str| match name.strip_suffix('?') {
                    Some(name) => format!("{name} = …"),
                    None => (*name).to_owned(),
                };
                builtin.arguments.iter().map(shown).collect()
            }
        };
        format!("{}({})", self.name(), arguments.join(", "))
    }
}
