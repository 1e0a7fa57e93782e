//! Broadcasting: makes the operands of a pointwise operation equal in shape.
//!
//! Dimensions are aligned from the right; sizes are equal or 1. A number becomes a constant of the common shape, a
//! smaller tensor is reshaped to the common rank and expanded, once for each run of axes in which it has size 1.

use dl_grammar::{Code, Diagnostic, Span};

use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::{NodeId, Type};
use crate::ops::constant::Splat;
use crate::ops::expand::Expand;
use crate::ops::reshape::Reshape;

impl<'a> Evaluator<'_, 'a> {
    /// The operands in their common shape, or `None` after a report.
    pub(super) fn broadcast(
        &mut self,
        shown: &str,
        operands: Vec<(Value<'a>, Span)>,
        at: Span,
    ) -> Option<Vec<(NodeId, Span)>> {
        let common = self.common(shown, &operands, at)?;
        let mut ids = Vec::with_capacity(operands.len());
        for (value, place) in operands {
            let value = match (&value, value.number()) {
                (Value::Tensor(id), _) => self.expand(*id, &common, at),
                (_, Some(number)) => self.splat(number, common.clone(), at),
                _ => self.wrong_kind(shown, "tensors or numbers", &value, place),
            };
            match value {
                Value::Tensor(id) => ids.push((id, place)),
                _ => return None,
            }
        }
        Some(ids)
    }

    /// A number in every place of a tensor.
    pub(super) fn splat(&mut self, value: f64, dims: Vec<usize>, span: Span) -> Value<'a> {
        let ty = Type::batch_wide(dims.clone());
        self.push(Splat { value, dims }.into(), &[], ty, span)
    }

    /// The shape that all tensors among the operands fit.
    fn common(&mut self, shown: &str, operands: &[(Value<'a>, Span)], at: Span) -> Option<Vec<usize>> {
        let mut common: Vec<usize> = Vec::new();
        let mut origin: Option<(NodeId, Span)> = None;
        for (value, place) in operands {
            let Value::Tensor(id) = value else { continue };
            let dims = &self.ty(*id).dims;
            match joined(&common, dims) {
                Some(joined) => common = joined,
                None => {
                    let (a, b) = (format!("{common:?}"), format!("{dims:?}"));
                    let mut diagnostic =
                        Diagnostic::new(Code::Broadcast, at, format!("`{shown}` cannot combine {a} and {b}"))
                            .label("the shapes do not fit each other");
                    if let Some((_, first)) = origin {
                        diagnostic = diagnostic.related(first, a);
                    }
                    let diagnostic = diagnostic
                        .related(*place, b)
                        .note("dimensions are aligned from the right; each pair must be equal, or one of them 1");
                    self.report(diagnostic);
                    return None;
                }
            }
            origin = origin.or(Some((*id, *place)));
        }
        Some(common)
    }

    /// A tensor expanded to a shape that its own fits.
    fn expand(&mut self, id: NodeId, common: &[usize], span: Span) -> Value<'a> {
        let ty = self.ty(id).clone();
        if ty.dims == common {
            return Value::Tensor(id);
        }
        let mut dims = vec![1; common.len().saturating_sub(ty.dims.len())];
        dims.extend(&ty.dims);
        let mut now = id;
        if dims != ty.dims {
            match self.push(Reshape { dims: dims.clone() }.into(), &[now], ty.with_dims(dims.clone()), span) {
                Value::Tensor(id) => now = id,
                other => return other,
            }
        }
        let mut axis = 0;
        while axis < common.len() {
            let run = (axis..common.len()).take_while(|&place| dims[place] != common[place]).count();
            if run > 0 {
                dims[axis..axis + run].copy_from_slice(&common[axis..axis + run]);
                let op = Expand { axis, dims: common[axis..axis + run].to_vec() };
                match self.push(op.into(), &[now], ty.with_dims(dims.clone()), span) {
                    Value::Tensor(id) => now = id,
                    other => return other,
                }
            }
            axis += run.max(1);
        }
        Value::Tensor(now)
    }
}

/// The smallest shape that both fit.
fn joined(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], place: usize| (place + dims.len()).checked_sub(rank).map_or(1, |place| dims[place]);
    (0..rank)
        .map(|place| match (dim(a, place), dim(b, place)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn shapes_join_from_the_right() {
        assert_eq!(joined(&[], &[3]), Some(vec![3]));
        assert_eq!(joined(&[2, 3], &[3]), Some(vec![2, 3]));
        assert_eq!(joined(&[6, 1, 1], &[4, 5]), Some(vec![6, 4, 5]));
        assert_eq!(joined(&[2, 1], &[1, 3]), Some(vec![2, 3]));
        assert_eq!(joined(&[2], &[3]), None);
        assert_eq!(joined(&[2, 3], &[2]), None);
    }
}
