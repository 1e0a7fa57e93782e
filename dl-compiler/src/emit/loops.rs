//! Loops over the steps of sequences, within the function of a shard.
//!
//! `for step in 0..64 { let x_t = rt::step(x_steps, step, rows * 8); … }`: all buffers are cut out of the shard before the loop;
//! at each step the pieces of those that lie step by step are taken, then the kernels run as they would outside.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::Module;
use super::kernel::{Piece, count};
use super::steps::Writer;
use crate::program::{BufferId, Home, Step};

impl Writer<'_> {
    /// The code of the steps of one outermost loop.
    pub(super) fn repeated(&self, module: &mut Module<'_>, steps: &[Step], line: &mut Option<String>) -> TokenStream {
        let cut = self.cut(&self.of_home(steps, Home::Shard), &quote!(floats));
        let scan = steps.iter().find_map(|step| step.within).map(|scan| self.program.outermost(scan));
        let code = scan.map(|scan| self.scan(module, steps, scan, 1, line));
        quote!(#cut #code)
    }

    /// One loop, `depth` of which are around each other here.
    fn scan(
        &self,
        module: &mut Module<'_>,
        steps: &[Step],
        scan: usize,
        depth: usize,
        line: &mut Option<String>,
    ) -> TokenStream {
        let Some(of) = self.program.scans.get(scan) else { return TokenStream::new() };
        let (length, reversed) = (of.length, of.reversed);
        let step = if depth == 1 { format_ident!("step") } else { format_ident!("step_{depth}") };
        let mut body = self.cut_steps(&self.pieces(steps, scan), &step);
        for run in steps.chunk_by(|a, b| self.inner(a, scan) == self.inner(b, scan)) {
            if let Some(inner) = run.first().and_then(|step| self.inner(step, scan)) {
                body.extend(self.scan(module, run, inner, depth + 1, line));
                continue;
            }
            for step in run {
                body.extend(module.source_line(step.span, line));
                let operands: Vec<Piece> = step.operands.iter().map(|&operand| self.shard_piece(operand)).collect();
                let result = self.shard_piece(step.result);
                body.extend(self.call(module, step, &operands, result, Some(quote!(rows))));
            }
        }
        let range = if reversed { quote!((0..#length).rev()) } else { quote!(0..#length) };
        quote! {
            for #step in #range {
                #body
            }
        }
    }

    /// Takes pieces of sequences; two of one sequence together.
    fn cut_steps(&self, pieces: &[BufferId], step: &Ident) -> TokenStream {
        let mut code = TokenStream::new();
        for &id in pieces {
            let Home::Step { of, later, .. } = self.program.buffer(id).home else { continue };
            let other = pieces.iter().copied().find(|&other| {
                other != id && matches!(self.program.buffer(other).home, Home::Step { of: its, .. } if its == of)
            });
            let (piece, whole) = (self.layout.variable(id), self.layout.variable(of));
            let len = count(self.program.buffer(id).floats, Some(&quote!(rows)));
            code.extend(match (other, later) {
                (Some(other), 0) => {
                    let other = self.layout.variable(other);
                    quote!(let [#piece, #other] = rt::step_and_next(#whole, #step, #len);)
                }
                // Comes with the other.
                (Some(_), _) => TokenStream::new(),
                (None, 0) => quote!(let #piece = rt::step(#whole, #step, #len);),
                (None, _) => quote!(let #piece = rt::step(#whole, #step + #later, #len);),
            });
        }
        code
    }

    /// The loop directly within `scan` that a step is in.
    fn inner(&self, step: &Step, scan: usize) -> Option<usize> {
        let mut region = step.within;
        while let Some(inner) = region {
            let parent = self.program.scans.get(inner).and_then(|scan| scan.parent);
            if parent == Some(scan) {
                return Some(inner);
            }
            region = parent;
        }
        None
    }

    /// The pieces that steps of this loop, or of loops within it, take at a step of it, in the order in which they do.
    fn pieces(&self, steps: &[Step], scan: usize) -> Vec<BufferId> {
        let mut pieces = Vec::new();
        for mut id in steps.iter().flat_map(Step::touched) {
            loop {
                match self.program.buffer(id).home {
                    Home::Step { of, scan: its, .. } => {
                        if its == scan && !pieces.contains(&id) {
                            pieces.push(id);
                        }
                        id = of;
                    }
                    Home::Steps { of, .. } | Home::Window { of, .. } => id = of,
                    _ => break,
                }
            }
        }
        pieces
    }
}
