//! The `budget` section: limits go in, numbers come out. Whether they are kept is known when the network is planned.

use dl_grammar::ast::{self, Limit};
use dl_grammar::{Code, Diagnostic, closest};

use super::evaluator::Evaluator;
use super::value::Value;
use crate::model::{BudgetLimit, Measured};

const NAMES: &[(&str, Measured)] = &[("parameters", Measured::Parameters), ("memory", Measured::Memory)];

impl<'a> Evaluator<'_, 'a> {
    /// `budget { parameters < 64_000, memory < 256_KiB }`
    pub(super) fn allowance(&mut self, budget: &'a ast::Budget) -> Vec<BudgetLimit> {
        budget.limits.iter().filter_map(|limit| self.limit(limit)).collect()
    }

    fn limit(&mut self, limit: &'a Limit) -> Option<BudgetLimit> {
        let name = limit.name.text.as_str();
        let Some((_, measured)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let message = format!("a budget knows `parameters` and `memory`, found `{name}`");
            let mut diagnostic = Diagnostic::new(Code::BadBudget, limit.name.span, message).label("not known here");
            if let Some(near) = closest(name, NAMES.iter().map(|(name, _)| *name)) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            self.report(diagnostic);
            return None;
        };
        let value = self.expr(&limit.value);
        match value {
            Value::Poison => None,
            Value::Integer(number) if number > 0 => {
                let (measured, inclusive, span) = (*measured, limit.inclusive, limit.span);
                let limit = usize::try_from(number).unwrap_or(usize::MAX);
                Some(BudgetLimit { measured, limit, inclusive, span })
            }
            other => {
                let message = format!("`{name}` is an integer of at least 1, found {}", self.describe(&other));
                self.error(Code::BadBudget, limit.value.span, message, "not a limit");
                None
            }
        }
    }
}
