//! Shape patterns: `[.., features]` against a shape; new names are bound, known names and expressions compared.

use dl_grammar::Span;
use dl_grammar::ast::{ExprKind, Pattern, PatternDim};

use super::evaluator::Evaluator;
use super::value::Value;

/// Why a shape does not fit a pattern.
#[derive(Debug)]
pub(super) struct Misfit {
    /// What was expected and found, in few words.
    pub(super) label: String,
    /// The place in the pattern.
    pub(super) span: Span,
}

impl<'a> Evaluator<'_, 'a> {
    /// Matches a shape; binds the pattern's new names in the innermost scope.
    ///
    /// `Ok(false)` if the pattern itself is wrong, which has been reported.
    pub(super) fn match_pattern(&mut self, pattern: &'a Pattern, dims: &[usize]) -> Result<bool, Misfit> {
        let rest = pattern.dims.iter().position(|dim| matches!(dim, PatternDim::Rest(_)));
        let named = pattern.dims.len() - usize::from(rest.is_some());
        let fits = if rest.is_some() { dims.len() >= named } else { dims.len() == named };
        if !fits {
            let at_least = if rest.is_some() { "at least " } else { "" };
            let label = format!("expected {at_least}{}, found {}", dimensions(named), dims.len());
            return Err(Misfit { label, span: pattern.span });
        }
        let front = rest.unwrap_or(named);
        let skipped = dims.len() - named;
        let found = dims.iter().take(front).chain(dims.iter().skip(front + skipped));
        let expected = pattern.dims.iter().filter_map(|dim| match dim {
            PatternDim::Dim(expr) => Some(expr),
            PatternDim::Rest(_) => None,
        });
        let mut is_sound = true;
        for (expr, &found) in expected.zip(found) {
            if let ExprKind::Name(name) = &expr.kind
                && self.value(name).is_none()
                && self.program.catalog.constant(name, self.home()).is_none()
            {
                let bound = i64::try_from(found).map_or(Value::Poison, Value::Integer);
                self.declare(name, bound);
                continue;
            }
            match self.dim(expr) {
                None => is_sound = false,
                Some(dim) if dim == found => {}
                Some(dim) => {
                    let shown = self.excerpt(expr.span);
                    let label = match expr.kind {
                        ExprKind::Integer(_) => format!("expected {dim}, found {found}"),
                        _ => format!("expected `{shown}` = {dim}, found {found}"),
                    };
                    return Err(Misfit { label, span: expr.span });
                }
            }
        }
        Ok(is_sound)
    }
}

fn dimensions(count: usize) -> String {
    match count {
        1 => "1 dimension".to_owned(),
        _ => format!("{count} dimensions"),
    }
}
