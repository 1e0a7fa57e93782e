//! The `train` section: settings go in, numbers with defaults filled in come out.
//!
//! What can be said stands in the tables of the model; this reads calls against them.

use dl_grammar::ast::{self, Expr, ExprKind, PathPattern};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::call::Given;
use super::evaluator::Evaluator;
use super::select::select;
use super::value::Value;
use crate::model::{
    CLIPS, Chosen, DecayFactor, Form, Number, OPTIMIZERS, Parameter, Range, SCHEDULES, STOPS, Setting, Train, WARM_UP,
};
use crate::ops::AttributeValue;

/// The settings of a train section.
const SETTINGS: &[&str] = &["optimizer", "schedule", "clip", "accumulate", "ema", "decay", "batch", "epochs", "stop"];

/// The largest batch and number of epochs.
const MAX_COUNT: i64 = 1 << 24;

/// The only setting of a warm-up that is no number: the schedule after it.
const THEN: &str = "then";

impl<'a> Evaluator<'_, 'a> {
    /// Reads a train section; wrong settings are reported and keep their defaults.
    pub(super) fn train(&mut self, section: &'a ast::Train) -> Option<Train> {
        let mut train = Train::default();
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
                "schedule" => self.schedule(value, &mut train),
                "clip" => train.clip = self.form("clip", CLIPS, value),
                "accumulate" => train.accumulate = self.count("accumulate", value).unwrap_or(train.accumulate),
                "ema" => train.ema = self.share(value),
                "decay" => self.decay(value, &mut train.decay),
                "batch" => train.batch = self.count("batch", value).unwrap_or(train.batch),
                "epochs" => train.epochs = self.count("epochs", value).unwrap_or(train.epochs),
                "stop" => {
                    train.patience = self.form("stop", STOPS, value).and_then(|stop| match stop.number("patience") {
                        Some(Number::Count(patience)) => Some(*patience),
                        _ => None,
                    });
                }
                _ => self.unknown_setting("train", SETTINGS, name),
            }
        }
        Some(train)
    }

    fn optimizer(&mut self, expr: &'a Expr) -> Option<Chosen> {
        let chosen = self.form("optimizer", OPTIMIZERS, expr)?;
        let is_ahead = chosen.number("nesterov") == Some(&Number::Truth(true));
        if is_ahead && chosen.number("momentum") == Some(&Number::Float(0.0)) {
            let diagnostic = Diagnostic::new(Code::BadTrainSetting, expr.span, "`nesterov` needs a momentum, found 0")
                .label("no momentum")
                .help("add `momentum: 0.9`");
            self.report(diagnostic);
        }
        Some(chosen)
    }

    /// A shape, or `warm_up(epochs: 5, then: cosine(epochs: 50))`.
    fn schedule(&mut self, expr: &'a Expr, train: &mut Train) {
        let known: Vec<&'static Form> = SCHEDULES.iter().chain([&WARM_UP]).collect();
        let Some((form, call)) = self.setting_call("schedule", &known, expr) else { return };
        if form.name != WARM_UP.name {
            let chosen = self.checked_shape(form, &call, call.arguments.iter());
            train.schedule = chosen.unwrap_or_else(|| train.schedule.clone());
            return;
        }
        let is_then = |argument: &&ast::CallArgument| argument.name.as_ref().is_some_and(|name| name.text == THEN);
        train.warm_up = self.numbers(form, &call, call.arguments.iter().filter(|argument| !is_then(argument)));
        let mut after = call.arguments.iter().filter(is_then);
        if let Some(argument) = after.next() {
            let known: Vec<&'static Form> = SCHEDULES.iter().collect();
            if let Some((form, call)) = self.setting_call(THEN, &known, &argument.value) {
                let chosen = self.checked_shape(form, &call, call.arguments.iter());
                train.schedule = chosen.unwrap_or_else(|| train.schedule.clone());
            }
        }
        if let Some(argument) = after.next() {
            let message = "`warm_up` takes one schedule after it";
            self.error(Code::BadTrainSetting, argument.value.span, message, "one too many");
        }
    }

    /// A shape whose numbers fit each other.
    fn checked_shape(
        &mut self,
        form: &'static Form,
        call: &SettingCall<'a>,
        arguments: impl Iterator<Item = &'a ast::CallArgument>,
    ) -> Option<Chosen> {
        let chosen = self.numbers(form, call, arguments)?;
        if let (Some(Number::List(at)), Some(Number::List(factors))) = (chosen.number("at"), chosen.number("factors")) {
            let message = if at.len() != factors.len() {
                format!("`at` has {} epochs, and `factors` has {} numbers", at.len(), factors.len())
            } else if at.is_sorted_by(|a, b| a < b) {
                return Some(chosen);
            } else {
                "`at` has epochs in ascending order".to_owned()
            };
            let diagnostic = Diagnostic::new(Code::BadTrainSetting, call.span, message)
                .label("one factor for each epoch at which the rate changes")
                .help("write `piecewise(at: [10, 20], factors: [0.1, 0.01])`");
            self.report(diagnostic);
            return None;
        }
        Some(chosen)
    }

    /// `factor("*.bias", 0)`, or a list of such.
    fn decay(&mut self, expr: &'a Expr, into: &mut Vec<DecayFactor>) {
        static FACTOR: Form = Form { name: "factor", rust: "Decay", settings: &[] };
        if let ExprKind::List(elements) = &expr.kind {
            elements.iter().for_each(|element| self.decay(element, into));
            return;
        }
        let Some((_, call)) = self.setting_call("decay", &[&FACTOR], expr) else { return };
        let [pattern, factor] = call.arguments else {
            let message = format!("`factor` takes a pattern and a number, found {} arguments", call.arguments.len());
            let diagnostic = Diagnostic::new(Code::BadTrainSetting, call.span, message)
                .label("which parameters, and what their weight decay is multiplied by")
                .help("write `factor(\"*.bias\", 0)`");
            return self.report(diagnostic);
        };
        if let Some(name) = [pattern, factor].into_iter().find_map(|argument| argument.name.as_ref()) {
            return self.error(Code::BadTrainSetting, name.span, "the arguments of `factor` have no names", "a name");
        }
        let (text, number) = (self.expr(&pattern.value), self.expr(&factor.value));
        if !matches!(text, Value::Text(_) | Value::Poison) {
            let message = format!("`factor` takes a pattern as a text, found {}", self.describe(&text));
            self.error(Code::BadTrainSetting, pattern.value.span, message, "not a text");
        }
        let factor = self.in_range("factor", Range::NotNegative, &number, factor.value.span);
        if let (Value::Text(text), Some(Number::Float(factor))) = (text, factor) {
            into.push(DecayFactor { pattern: text.to_owned(), factor, span: pattern.value.span });
        }
    }

    /// One of several forms.
    fn form(&mut self, setting: &str, known: &'static [Form], expr: &'a Expr) -> Option<Chosen> {
        let known: Vec<&'static Form> = known.iter().collect();
        let (form, call) = self.setting_call(setting, &known, expr)?;
        self.numbers(form, &call, call.arguments.iter())
    }

    /// `sgd(…)`, or a bare `sgd`.
    fn setting_call(
        &mut self,
        setting: &str,
        known: &[&'static Form],
        expr: &'a Expr,
    ) -> Option<(&'static Form, SettingCall<'a>)> {
        let call = match &expr.kind {
            ExprKind::Call(call) => {
                SettingCall { callee: &call.callee.text, span: call.callee.span, arguments: &call.arguments }
            }
            ExprKind::Name(name) => SettingCall { callee: name, span: expr.span, arguments: &[] },
            ExprKind::Invalid => return None,
            _ => SettingCall { callee: "", span: expr.span, arguments: &[] },
        };
        if let Some(form) = known.iter().find(|form| form.name == call.callee) {
            return Some((form, call));
        }
        const FEW: usize = 3;
        let found = self.excerpt(call.span);
        let names = |shown: fn(&str) -> String| -> Vec<String> { known.iter().map(|form| shown(form.name)).collect() };
        let mut diagnostic = if known.len() <= FEW {
            let list = names(|name| format!("`{name}(…)`"));
            let message = format!("`{setting}` expects {}, found `{found}`", list.join(" or "));
            Diagnostic::new(Code::BadTrainSetting, call.span, message)
        } else {
            let list = names(|name| format!("`{name}`"));
            let message = format!("`{setting}` knows no `{found}`");
            Diagnostic::new(Code::BadTrainSetting, call.span, message).note(format!("it knows {}", list.join(", ")))
        };
        diagnostic = diagnostic.label("not known here");
        if let Some(near) = closest(call.callee, known.iter().map(|form| form.name)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
        None
    }

    /// The numbers of a call by place.
    fn numbers(
        &mut self,
        form: &'static Form,
        call: &SettingCall<'a>,
        arguments: impl Iterator<Item = &'a ast::CallArgument>,
    ) -> Option<Chosen> {
        let mut chosen = Chosen::new(form);
        let mut is_sound = true;
        let mut taken: Vec<usize> = Vec::new();
        for argument in arguments {
            let value = self.expr(&argument.value);
            let given = Given { name: argument.name.as_ref(), value, span: argument.value.span };
            let place = match given.name {
                Some(name) => form.settings.iter().position(|known| known.name == name.text),
                None => (0..form.settings.len()).find(|place| !taken.contains(place)),
            };
            match (place, given.name) {
                (Some(place), _) if !taken.contains(&place) => {
                    taken.push(place);
                    let Setting { name, range, .. } = form.settings[place];
                    match self.in_range(name, range, &given.value, given.span) {
                        Some(number) => chosen.numbers[place] = number,
                        None => is_sound = false,
                    }
                }
                (None, Some(name)) => {
                    let names: Vec<&str> = form.settings.iter().map(|known| known.name).collect();
                    self.unknown_setting(call.callee, &names, name);
                    is_sound = false;
                }
                _ => {
                    let message = format!("`{}` takes {} settings, each once", call.callee, form.settings.len());
                    self.error(Code::BadTrainSetting, given.span, message, "one too many");
                    is_sound = false;
                }
            }
        }
        let missing = form.settings.iter().enumerate();
        let missing = missing.filter(|(place, setting)| setting.default.is_none() && !taken.contains(place));
        let missing: Vec<&str> = missing.map(|(_, setting)| setting.name).collect();
        if let Some(first) = missing.first()
            && is_sound
        {
            let example: Vec<String> = missing.iter().map(|name| format!("{name}: {}", example(name))).collect();
            let diagnostic =
                Diagnostic::new(Code::BadTrainSetting, call.span, format!("`{}` needs `{first}`", call.callee))
                    .label(format!("`{first}` is missing"))
                    .help(format!("write `{}({})`", call.callee, example.join(", ")));
            self.report(diagnostic);
            return None;
        }
        is_sound.then_some(chosen)
    }

    fn unknown_setting(&mut self, of: &str, known: &[&str], name: &ast::Name) {
        let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("`{of}` has no setting `{}`", name.text);
        let mut diagnostic = Diagnostic::new(Code::BadTrainSetting, name.span, message).label("no such setting");
        diagnostic = match list.is_empty() {
            true => diagnostic.note(format!("`{of}` has none")),
            false => diagnostic.note(format!("the settings are {}", list.join(", "))),
        };
        if let Some(near) = closest(&name.text, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }

    /// The value as a number in its range, or a report. Numbers must be in it in single precision too, in which they are
    /// used.
    fn in_range(&mut self, name: &str, range: Range, value: &Value<'a>, span: Span) -> Option<Number> {
        let number = value.number().map(|number| f64::from(number as f32));
        let number = number.filter(|number| number.is_finite());
        let float = |holds: fn(f64) -> bool| {
            let is_held = number.is_some_and(holds);
            value.number().filter(|_| is_held).map(Number::Float)
        };
        let count = |least: i64| match value {
            Value::Integer(number) if (least..=MAX_COUNT).contains(number) => {
                usize::try_from(*number).ok().map(Number::Count)
            }
            _ => None,
        };
        let (found, expected) = match range {
            Range::Positive => (float(|number| number > 0.0), "a number greater than 0"),
            Range::NotNegative => (float(|number| number >= 0.0), "a number of at least 0"),
            Range::AtLeastOne => (float(|number| number >= 1.0), "a number of at least 1"),
            Range::BelowOne => {
                (float(|number| (0.0..1.0).contains(&number)), "a number from 0 up to, not including, 1")
            }
            Range::Share => (float(|number| (0.0..=1.0).contains(&number)), "a number from 0 to 1"),
            Range::Truth => match value {
                Value::Bool(truth) => (Some(Number::Truth(*truth)), ""),
                _ => (None, "`true` or `false`"),
            },
            Range::Count => (count(1), "an integer from 1 to 16777216"),
            Range::Whole => (count(0), "an integer from 0 to 16777216"),
            Range::List => (list(value), "a list of numbers of at least 0"),
        };
        if found.is_none() && !value.is_poison() {
            let message = format!("`{name}` is {expected}, found {}", self.describe(value));
            self.error(Code::BadTrainSetting, span, message, "out of range");
        }
        found
    }

    fn count(&mut self, name: &str, expr: &'a Expr) -> Option<usize> {
        let value = self.expr(expr);
        match self.in_range(name, Range::Count, &value, expr.span) {
            Some(Number::Count(count)) => Some(count),
            _ => None,
        }
    }

    fn share(&mut self, expr: &'a Expr) -> Option<f64> {
        let value = self.expr(expr);
        match self.in_range("ema", Range::BelowOne, &value, expr.span) {
            Some(Number::Float(share)) => Some(share),
            _ => None,
        }
    }
}

/// What is wrong with the patterns of `decay`: each matches a parameter.
pub(super) fn unmatched(decay: &[DecayFactor], parameters: &[Parameter]) -> Vec<Diagnostic> {
    let paths: Vec<&str> = parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    let pattern = |factor: &DecayFactor| PathPattern { text: factor.pattern.clone(), span: factor.span };
    select(&decay.iter().map(pattern).collect::<Vec<_>>(), &paths).1
}

/// Numbers of at least 0.
fn list(value: &Value<'_>) -> Option<Number> {
    let Value::List(elements) = value else { return None };
    let numbers = elements.iter().map(|element| match element {
        AttributeValue::Integer(number) => Some(*number as f64),
        AttributeValue::Float(number) => Some(*number),
        _ => None,
    });
    let numbers: Option<Vec<f64>> = numbers.map(|number| number.filter(|number| *number >= 0.0)).collect();
    numbers.map(Number::List)
}

/// What a help line writes for a setting.
fn example(setting: &str) -> &'static str {
    match setting {
        "patience" => "3",
        "limit" => "1.0",
        "factor" => "0.95",
        "at" => "[10, 20]",
        "factors" => "[0.1, 0.01]",
        _ => "10",
    }
}

/// A call in a train section.
struct SettingCall<'a> {
    callee: &'a str,
    span: Span,
    arguments: &'a [ast::CallArgument],
}
