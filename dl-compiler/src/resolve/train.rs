//! The `train` section: settings go in, numbers with defaults filled in come out.

use dl_grammar::ast::{self, Expr, ExprKind};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::call::Given;
use super::evaluator::Evaluator;
use super::value::Value;
use crate::model::{Optimizer, Train};

/// The settings of a train section.
const SETTINGS: &[&str] = &["optimizer", "batch", "epochs", "stop"];

/// What a network without train section gets: Adam with its authors' numbers.
pub(super) const DEFAULT: Train = Train {
    optimizer: Optimizer::Adam { learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 },
    batch: 32,
    epochs: 10,
    patience: None,
};

/// The largest batch and number of epochs.
const MAX_COUNT: i64 = 1 << 24;

/// A number of an optimizer: its name, its default, and what it must be.
type Setting = (&'static str, Value<'static>, Range);

#[derive(Debug, Clone, Copy)]
enum Range {
    Positive,
    NotNegative,
    BelowOne,
    Truth,
    Count,
}

const SGD: &[Setting] = &[
    ("learning_rate", Value::Float(0.01), Range::Positive),
    ("momentum", Value::Float(0.0), Range::BelowOne),
    ("nesterov", Value::Bool(false), Range::Truth),
    ("weight_decay", Value::Float(0.0), Range::NotNegative),
];

const ADAM: &[Setting] = &[
    ("learning_rate", Value::Float(0.001), Range::Positive),
    ("beta1", Value::Float(0.9), Range::BelowOne),
    ("beta2", Value::Float(0.999), Range::BelowOne),
    ("epsilon", Value::Float(1e-8), Range::Positive),
    ("weight_decay", Value::Float(0.0), Range::NotNegative),
];

const EARLY: &[Setting] = &[("patience", Value::Integer(0), Range::Count)];

impl<'a> Evaluator<'_, 'a> {
    /// Reads a train section; wrong settings are reported and keep their defaults.
    pub(super) fn train(&mut self, section: &'a ast::Train) -> Option<Train> {
        let mut train = DEFAULT;
        let mut seen: Vec<&ast::Name> = Vec::new();
        for (name, value) in &section.settings {
            if let Some(before) = seen.iter().find(|before| before.text == name.text) {
                let message = format!("the setting `{}` is given twice", name.text);
                let diagnostic = Diagnostic::new(Code::BadTrainSetting, name.span, message)
                    .label("given again")
                    .related(before.span, "given before");
                self.report(diagnostic);
                continue;
            }
            seen.push(name);
            match name.text.as_str() {
                "optimizer" => train.optimizer = self.optimizer(value).unwrap_or(train.optimizer),
                "batch" => train.batch = self.count("batch", value).unwrap_or(train.batch),
                "epochs" => train.epochs = self.count("epochs", value).unwrap_or(train.epochs),
                "stop" => train.patience = self.patience(value),
                _ => self.unknown_setting("train", SETTINGS, name),
            }
        }
        Some(train)
    }

    fn optimizer(&mut self, expr: &'a Expr) -> Option<Optimizer> {
        let call = self.setting_call("optimizer", &["sgd", "adam"], expr)?;
        let (settings, is_sgd) = if call.callee == "sgd" { (SGD, true) } else { (ADAM, false) };
        let values = self.settings(&call, settings)?;
        let number = |place: usize| values.get(place).and_then(Value::number).unwrap_or_default();
        let optimizer = match is_sgd {
            true => Optimizer::Sgd {
                learning_rate: number(0),
                momentum: number(1),
                nesterov: matches!(values.get(2), Some(Value::Bool(true))),
                weight_decay: number(3),
            },
            false => Optimizer::Adam {
                learning_rate: number(0),
                beta1: number(1),
                beta2: number(2),
                epsilon: number(3),
                weight_decay: number(4),
            },
        };
        if let Optimizer::Sgd { momentum: 0.0, nesterov: true, .. } = optimizer {
            let diagnostic = Diagnostic::new(Code::BadTrainSetting, expr.span, "`nesterov` needs a momentum, found 0")
                .label("no momentum")
                .help("add `momentum: 0.9`");
            self.report(diagnostic);
        }
        Some(optimizer)
    }

    fn patience(&mut self, expr: &'a Expr) -> Option<usize> {
        let call = self.setting_call("stop", &["early"], expr)?;
        if call.arguments.is_empty() {
            let diagnostic = Diagnostic::new(Code::BadTrainSetting, call.span, "`early` needs `patience`")
                .label("`patience` is missing")
                .help("write `early(patience: 3)`");
            self.report(diagnostic);
            return None;
        }
        match self.settings(&call, EARLY)?.first() {
            Some(Value::Integer(patience)) => usize::try_from(*patience).ok(),
            _ => None,
        }
    }

    /// `sgd(…)`, or a bare `sgd`.
    fn setting_call(&mut self, setting: &str, known: &[&str], expr: &'a Expr) -> Option<SettingCall<'a>> {
        let call = match &expr.kind {
            ExprKind::Call(call) => {
                SettingCall { callee: &call.callee.text, span: call.callee.span, arguments: &call.arguments }
            }
            ExprKind::Name(name) => SettingCall { callee: name, span: expr.span, arguments: &[] },
            ExprKind::Invalid => return None,
            _ => SettingCall { callee: "", span: expr.span, arguments: &[] },
        };
        if known.contains(&call.callee) {
            return Some(call);
        }
        let list: Vec<String> = known.iter().map(|name| format!("`{name}(…)`")).collect();
        let found = self.excerpt(call.span);
        let message = format!("`{setting}` expects {}, found `{found}`", list.join(" or "));
        let mut diagnostic = Diagnostic::new(Code::BadTrainSetting, call.span, message).label("not known here");
        if let Some(near) = closest(call.callee, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
        None
    }

    /// The numbers of a call by place.
    fn settings(&mut self, call: &SettingCall<'a>, known: &'static [Setting]) -> Option<Vec<Value<'a>>> {
        let mut values: Vec<Value<'a>> = known.iter().map(|(_, default, _)| default.clone()).collect();
        let mut is_sound = true;
        let mut taken: Vec<usize> = Vec::new();
        for argument in call.arguments {
            let value = self.expr(&argument.value);
            let given = Given { name: argument.name.as_ref(), value, span: argument.value.span };
            let place = match given.name {
                Some(name) => known.iter().position(|(known, ..)| *known == name.text),
                None => (0..known.len()).find(|place| !taken.contains(place)),
            };
            match (place, given.name) {
                (Some(place), _) if !taken.contains(&place) => {
                    taken.push(place);
                    is_sound &= self.is_in_range(known[place].0, known[place].2, &given.value, given.span);
                    values[place] = given.value;
                }
                (None, Some(name)) => {
                    let names: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
                    self.unknown_setting(call.callee, &names, name);
                    is_sound = false;
                }
                _ => {
                    let message = format!("`{}` takes {} settings, each once", call.callee, known.len());
                    self.error(Code::BadTrainSetting, given.span, message, "one too many");
                    is_sound = false;
                }
            }
        }
        is_sound.then_some(values)
    }

    fn unknown_setting(&mut self, of: &str, known: &[&str], name: &ast::Name) {
        let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("`{of}` has no setting `{}`", name.text);
        let mut diagnostic = Diagnostic::new(Code::BadTrainSetting, name.span, message)
            .label("no such setting")
            .note(format!("the settings are {}", list.join(", ")));
        if let Some(near) = closest(&name.text, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }

    fn is_in_range(&mut self, name: &str, range: Range, value: &Value<'a>, span: Span) -> bool {
        let (holds, expected) = match range {
            Range::Positive => (value.number().is_some_and(|number| number > 0.0), "a number greater than 0"),
            Range::NotNegative => (value.number().is_some_and(|number| number >= 0.0), "a number of at least 0"),
            Range::BelowOne => {
                let holds = value.number().is_some_and(|number| (0.0..1.0).contains(&number));
                (holds, "a number from 0 up to, not including, 1")
            }
            Range::Truth => (matches!(value, Value::Bool(_)), "`true` or `false`"),
            Range::Count => {
                let holds = matches!(value, Value::Integer(number) if (1..=MAX_COUNT).contains(number));
                (holds, "an integer from 1 to 16777216")
            }
        };
        if !holds && !value.is_poison() {
            let message = format!("`{name}` is {expected}, found {}", self.describe(value));
            self.error(Code::BadTrainSetting, span, message, "out of range");
        }
        holds
    }

    fn count(&mut self, name: &str, expr: &'a Expr) -> Option<usize> {
        let value = self.expr(expr);
        match value {
            Value::Integer(number) if self.is_in_range(name, Range::Count, &value, expr.span) => {
                usize::try_from(number).ok()
            }
            Value::Integer(_) => None,
            other => {
                self.is_in_range(name, Range::Count, &other, expr.span);
                None
            }
        }
    }
}

/// A call in a train section.
struct SettingCall<'a> {
    callee: &'a str,
    span: Span,
    arguments: &'a [ast::CallArgument],
}
