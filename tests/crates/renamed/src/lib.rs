//! A crate that depends on dln under another name compiles what both macros generate.

#![forbid(unsafe_code)]
#![deny(warnings)]

/// Written in place.
pub mod in_place {
    other::network! {
        //! Nothing here is reached as `::dln`.
        #![runtime = ::other::runtime]

        /// A line through points.
        pub network Line {
            input x: [1];
            label y: [1];
            estimate = x |> dense(1);
            output value = estimate;
            loss mse(estimate, y);
            train { optimizer: sgd(learning_rate: 0.1), batch: 4, epochs: 5 }
        }
    }
}

/// Read from a file.
pub mod from_file {
    other::include_network!("line.dln", runtime = ::other::runtime);
}

#[cfg(test)]
mod tests {
    use other::runtime::{Examples, Network, Report, Tensors};

    #[test]
    fn a_line_is_found() {
        use super::in_place::{Line, line};
        let examples = line::Examples { x: vec![[-1.0], [0.0], [1.0], [2.0]], y: vec![[-1.0], [1.0], [3.0], [5.0]] };
        let (mut parameters, mut state) = Line::initialize(1);
        let mut optimizers = Line::optimizers(Line::settings().optimizer, 1);
        let mut workspace = Line::training_workspace(4, 1);
        let mut loss = f32::INFINITY;
        for _ in 0..300 {
            let report =
                Line::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None);
            loss = report.expect("the batch fits the workspace").loss();
        }
        assert!(loss < 1e-6, "{loss}");
        // y = 2 x + 1
        let weight = parameters.tensor("estimate.weight").expect("the layer's weight")[0];
        let bias = parameters.tensor("estimate.bias").expect("the layer's bias")[0];
        assert!((weight - 2.0).abs() < 1e-2 && (bias - 1.0).abs() < 1e-2, "{weight} {bias}");
    }

    #[test]
    fn both_macros_make_the_same_network() {
        let (here, _) = super::in_place::Line::initialize(7);
        let (file, _) = super::from_file::Line::initialize(7);
        assert_eq!(here.as_slice(), file.as_slice());
    }
}
