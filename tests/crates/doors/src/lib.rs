//! One network through all doors of the compiler: in place, included as a file, and by the build script.

#![forbid(unsafe_code)]
#![deny(warnings)]

/// Written in place.
pub mod in_place {
    dln::network! {
        //! One network for all doors.

        const CLASSES = 3;

        /// Images of 6×6 to three classes.
        pub network Tiny {
            input image: [2, 6, 6];
            label kind: index(CLASSES);
            logits = image
                |> conv2d(4, kernel: 3) |> relu |> max_pool2d(2)   // 4 × 2 × 2
                |> flatten |> dropout(0.25) |> dense(CLASSES);
            output probabilities = softmax(logits);
            loss cross_entropy(logits, kind);
            metric accuracy(logits, kind);
            train { optimizer: adam(learning_rate: 0.01), batch: 8, epochs: 3 }
        }
    }
}

/// Included by the macro.
pub mod included {
    dln::include_network!("nets/tiny.dln");
}

/// Compiled by the build script.
pub mod built {
    dln::include_compiled!("tiny");
}

/// Put together by a declarative macro, whose tokens come from several places of this file.
pub mod assembled {
    macro_rules! tiny {
        ($name:ident, $classes:expr, $activation:ident, [$($stage:tt)*]) => {
            dln::network! {
                /// Images of 6×6 to three classes.
                pub network $name {
                    input image: [2, 6, 6];
                    label kind: index($classes);
                    logits = image
                        |> conv2d(4, kernel: 3) |> $activation $($stage)*
                        |> flatten |> dropout(0.25) |> dense($classes);
                    output probabilities = softmax(logits);
                    loss cross_entropy(logits, kind);
                    metric accuracy(logits, kind);
                    train { optimizer: adam(learning_rate: 0.01), batch: 8, epochs: 3 }
                }
            }
        };
    }
    tiny!(Tiny, 1 + 2, relu, [|> max_pool2d(2)]);
}

#[cfg(test)]
mod tests {
    use super::{assembled, built, in_place, included};
    use dln::runtime::{Examples, Network, Report, Tensors};

    /// The bits of the parameters before and after three steps, and of the losses.
    fn bits<N: Network>(examples: &N::Examples) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let bits = |floats: &[f32]| floats.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let (mut parameters, mut state) = N::initialize(3);
        let before = bits(parameters.as_slice());
        let mut optimizers = N::optimizers(N::settings().optimizer, 3);
        let mut workspace = N::training_workspace(examples.len(), 1);
        let losses: Result<Vec<f32>, _> = (0..3)
            .map(|_| N::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None))
            .map(|report| report.map(|report| report.loss()))
            .collect();
        (before, bits(parameters.as_slice()), bits(&losses.expect("the batch fits the workspace")))
    }

    macro_rules! run {
        ($door:ident) => {{
            let image = |i: usize| {
                std::array::from_fn(|c| {
                    std::array::from_fn(|h| std::array::from_fn(|w| ((i * 7 + c * 5 + h * 3 + w) % 11) as f32 / 11.0))
                })
            };
            let examples =
                $door::tiny::Examples { image: (0..5).map(image).collect(), kind: (0..5).map(|i| i % 3).collect() };
            bits::<$door::Tiny>(&examples)
        }};
    }

    #[test]
    fn all_doors_lead_to_the_same_bits() {
        let expected = run!(in_place);
        assert_ne!(expected.0, expected.1, "training changes the parameters");
        assert_eq!(run!(included), expected);
        assert_eq!(run!(built), expected);
        assert_eq!(run!(assembled), expected);
    }
}
