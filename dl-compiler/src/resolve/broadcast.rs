//! Broadcasting: makes the operands of a pointwise operation equal in shape.
//!
//! An operand whose axes all bear names aligns by name with the operand of the highest rank if that has these names;
//! otherwise dimensions are aligned from the right. Sizes are equal or 1. A number becomes a constant of the common
//! shape, a smaller tensor is reshaped to the common rank and expanded, once for each run of axes in which it has size 1.

use dl_grammar::{Code, Diagnostic, Span};

use super::axes::AxisNames;
use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::{NodeId, Type};
use crate::ops::constant::Splat;
use crate::ops::expand::Expand;
use crate::ops::reshape::Reshape;

/// Operands of one shape.
pub(super) struct Alike<'a> {
    /// What they became, and where each was written.
    pub(super) operands: Vec<(NodeId, Span)>,
    /// The names of the axes they have in common.
    pub(super) names: AxisNames<'a>,
}

/// The shape that all operands fit, and for each the places of its axes there.
struct Common<'a> {
    dims: Vec<usize>,
    names: AxisNames<'a>,
    places: Vec<Vec<usize>>,
}

impl<'a> Evaluator<'_, 'a> {
    /// The operands in their common shape, or `None` after a report.
    pub(super) fn broadcast(&mut self, shown: &str, operands: Vec<(Value<'a>, Span)>, at: Span) -> Option<Alike<'a>> {
        let tensors: Vec<(NodeId, Span)> = operands
            .iter()
            .filter_map(|(value, place)| match value {
                Value::Tensor(id) => Some((*id, *place)),
                _ => None,
            })
            .collect();
        let common = self.common(shown, &tensors, at)?;
        let mut places = common.places.iter();
        let mut alike = Vec::with_capacity(operands.len());
        for (value, place) in operands {
            let value = match (&value, value.number()) {
                (Value::Tensor(id), _) => self.expand(*id, places.next()?, &common.dims, at),
                (_, Some(number)) => self.splat(number, common.dims.clone(), at),
                _ => self.wrong_kind(shown, "tensors or numbers", &value, place),
            };
            match value {
                Value::Tensor(id) => alike.push((id, place)),
                _ => return None,
            }
        }
        Some(Alike { operands: alike, names: common.names })
    }

    /// A number in every place of a tensor.
    pub(super) fn splat(&mut self, value: f64, dims: Vec<usize>, span: Span) -> Value<'a> {
        let ty = Type::batch_wide(dims.clone());
        self.push(Splat { value, dims }.into(), &[], ty, span)
    }

    /// The shape that all tensors fit.
    fn common(&mut self, shown: &str, tensors: &[(NodeId, Span)], at: Span) -> Option<Common<'a>> {
        let rank = |(id, _): &(NodeId, Span)| self.ty(*id).dims.len();
        let Some(widest) = tensors.iter().rev().max_by_key(|tensor| rank(tensor)).copied() else {
            return Some(Common { dims: Vec::new(), names: Vec::new(), places: Vec::new() });
        };
        let wide = self.axis_names(widest.0);
        let rank = wide.len();
        let mut common = Common { dims: vec![1; rank], names: wide.clone(), places: Vec::new() };
        let mut before: Option<Span> = None;
        for &(id, place) in tensors {
            let own = self.axis_names(id);
            let by_name = aligned(&own, &wide);
            let is_by_name = by_name.is_some();
            if !is_by_name && is_named(&own) && is_named(&wide) {
                self.do_not_align(shown, widest, (id, place), at);
                return None;
            }
            let places = by_name.unwrap_or_else(|| (rank - own.len()..rank).collect());
            for (&place, name) in places.iter().zip(own) {
                if common.names[place].is_none() && !common.names.contains(&name) {
                    common.names[place] = name;
                }
            }
            let mut dims = common.dims.clone();
            let mut fits = true;
            for (&place, &size) in places.iter().zip(&self.ty(id).dims) {
                match (dims[place], size) {
                    (a, b) if a == b || b == 1 => {}
                    (1, _) => dims[place] = size,
                    _ => fits = false,
                }
            }
            if !fits {
                let shape =
                    if is_by_name && rank > 1 { self.shown_axes(id) } else { format!("{:?}", self.ty(id).dims) };
                self.do_not_fit(shown, (&common.dims, before), (shape, place), is_by_name, at);
                return None;
            }
            common.dims = dims;
            common.places.push(places);
            before = before.or(Some(place));
        }
        Some(common)
    }

    fn do_not_fit(
        &mut self,
        shown: &str,
        (common, before): (&[usize], Option<Span>),
        (shape, place): (String, Span),
        is_by_name: bool,
        at: Span,
    ) {
        let start = common.iter().take_while(|size| **size == 1).count();
        let common = format!("{:?}", &common[start.min(common.len())..]);
        let mut diagnostic =
            Diagnostic::new(Code::Broadcast, at, format!("`{shown}` cannot combine {common} and {shape}"))
                .label("the shapes do not fit each other");
        if let Some(before) = before {
            diagnostic = diagnostic.related(before, common);
        }
        let manner = if is_by_name { "by name" } else { "from the right" };
        let note = format!("dimensions are aligned {manner}; each pair must be equal, or one of them 1");
        self.report(diagnostic.related(place, shape).note(note));
    }

    /// Reports operands with names, of which neither has all names of the other.
    fn do_not_align(&mut self, shown: &str, wide: (NodeId, Span), narrow: (NodeId, Span), at: Span) {
        let (a, b) = (self.shown_axes(wide.0), self.shown_axes(narrow.0));
        let missing: Vec<&str> = self.axis_names(narrow.0).into_iter().flatten().collect();
        let known = self.axis_names(wide.0);
        let missing = missing.into_iter().find(|name| !known.contains(&Some(name))).unwrap_or_default();
        let message = format!("`{shown}` cannot align {a} and {b} by name");
        let diagnostic = Diagnostic::new(Code::Broadcast, at, message)
            .label(format!("there is no `{missing}` in {a}"))
            .related(wide.1, a)
            .related(narrow.1, b)
            .note("operands whose axes all bear names are aligned by name")
            .help("give it other names: `y: [name, …] = value;`");
        self.report(diagnostic);
    }

    /// A tensor expanded to a shape that its own fits; `places` says where its axes are there.
    fn expand(&mut self, id: NodeId, places: &[usize], common: &[usize], span: Span) -> Value<'a> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&axis| places[axis]);
        let mut now = match self.transposed(id, order, span) {
            Value::Tensor(id) => id,
            other => return other,
        };
        let ty = self.ty(id).clone();
        if places.len() == common.len() && self.ty(now).dims == common {
            return Value::Tensor(now);
        }
        let mut dims = vec![1; common.len()];
        for (&place, &size) in places.iter().zip(&ty.dims) {
            dims[place] = size;
        }
        if dims != self.ty(now).dims {
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

/// Whether every axis bears a name, each another.
fn is_named(names: &[Option<&str>]) -> bool {
    let is_first = |place: usize| names.iter().take(place).all(|name| *name != names[place]);
    !names.is_empty() && (0..names.len()).all(|place| names[place].is_some() && is_first(place))
}

/// The places of named axes among others that have each of these names once.
fn aligned(own: &[Option<&str>], wide: &[Option<&str>]) -> Option<Vec<usize>> {
    if !is_named(own) {
        return None;
    }
    let place = |name: &Option<&str>| {
        let mut places = wide.iter().enumerate().filter(|(_, other)| *other == name).map(|(place, _)| place);
        places.next().filter(|_| places.next().is_none())
    };
    own.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::{aligned, is_named};

    #[test]
    fn axes_that_all_bear_names_find_their_places() {
        let (c, h, w) = (Some("c"), Some("h"), Some("w"));
        assert_eq!(aligned(&[c], &[c, h, w]), Some(vec![0]));
        assert_eq!(aligned(&[w, c], &[c, h, w]), Some(vec![2, 0]));
        assert_eq!(aligned(&[c], &[c, None, None]), Some(vec![0]));
        assert_eq!(aligned(&[None], &[c, h, w]), None);
        assert_eq!(aligned(&[c], &[h, w]), None);
        assert_eq!(aligned(&[c], &[c, c]), None);
        assert!(is_named(&[c, h]) && !is_named(&[c, c]) && !is_named(&[c, None]) && !is_named(&[]));
    }
}
