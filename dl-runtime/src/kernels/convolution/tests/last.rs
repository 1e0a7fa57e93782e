//! Convolutions whose channels come last, against their twins.

use super::*;

/// A depthwise convolution with channels last against its twin, on all instruction sets.
fn check_last(shape: Convolution2d, n: usize, seed: u64) {
    let [x_len, y_len, weight_len] = shape.lens();
    let (x, weight, bias) = (values(n * x_len, seed), values(weight_len, seed + 1), values(shape.filters, seed + 2));
    let beside = Beside::new(n, y_len, seed + 3);
    let activation = ACTIVATIONS[seed as usize % if beside.mask.is_some() { 2 } else { 4 }];
    let bias = (!seed.is_multiple_of(3)).then_some(&bias[..]);
    let epilogue = beside.epilogue(Epilogue { bias, activation, ..Epilogue::NONE });
    let mut expected = vec![f32::NAN; n * y_len];
    reference::depthwise2d(&shape, n, &x, &weight, epilogue, &mut expected);
    for isa in available() {
        let mut y = vec![f32::NAN; n * y_len];
        depthwise::last::depthwise2d_on(*isa, &shape, n, &x, &weight, epilogue, &mut y);
        close(&y, &expected, tolerance(shape.kernel[0] * shape.kernel[1]), &(isa, shape, n, seed));
    }
}

/// A convolution to channels last: the results of its twin, the other way round.
fn check_to_last(shape: Convolution2d, n: usize, seed: u64) {
    let [x_len, y_len, weight_len] = shape.lens();
    let (x, weight, bias) = (values(n * x_len, seed), values(weight_len, seed + 1), values(shape.filters, seed + 2));
    let beside = Beside::new(n, y_len, seed + 3);
    let activation = ACTIVATIONS[seed as usize % if beside.mask.is_some() { 2 } else { 4 }];
    let epilogue = Epilogue { bias: (!seed.is_multiple_of(3)).then_some(&bias[..]), activation, ..Epilogue::NONE };
    let [panels, _] = packed(shape, &weight);
    let (filters, pixels) = (shape.filters, y_len / shape.filters);
    let turned = |planes: &[f32]| -> Vec<f32> {
        let places = (0..n)
            .flat_map(|e| (0..pixels).flat_map(move |p| (0..filters).map(move |f| (e * filters + f) * pixels + p)));
        places.map(|place| planes[place]).collect()
    };
    let mut expected = vec![f32::NAN; n * y_len];
    reference::convolution2d(&shape, Form::Examples, n, &x, &panels, beside.epilogue(epilogue), &mut expected);
    let last = Beside {
        len: y_len,
        residual: beside.residual.as_deref().map(turned),
        mask: beside.mask.as_deref().map(turned),
    };
    let tolerance = tolerance(weight_len / filters);
    for isa in available() {
        let mut y = vec![f32::NAN; n * y_len];
        convolution2d_last_on(*isa, &shape, n, &x, &panels, last.epilogue(epilogue), &mut y);
        close(&y, &turned(&expected), tolerance, &(isa, shape, n, seed));
    }
}

#[test]
fn to_channels_last_of_every_count_of_filters() {
    for (filters, size) in (1..=70).map(|filters| (filters, 3 + filters % 9)) {
        check_to_last(square(3, size, filters, 3, 1), 2, filters as u64);
        check_to_last(Convolution2d { stride: [2; 2], ..square(1, size, filters, 2, 1) }, 3, filters as u64);
    }
    // Several lines at a time, and rows of which the stack holds a part.
    check_to_last(Convolution2d { stride: [2; 2], ..square(3, 96, 16, 3, 1) }, 1, 4);
    check_to_last(Convolution2d { height: 3, width: 2100, ..square(3, 1, 20, 3, 1) }, 1, 5);
}

#[test]
#[should_panic(expected = "channels last")]
fn groups_to_channels_last_are_refused() {
    let shape = Convolution2d { groups: 2, ..square(2, 3, 16, 1, 0) };
    convolution2d_last(&shape, 1, &[0.0; 18], &[0.0; 400], Epilogue::NONE, &mut [0.0; 144]);
}

#[test]
fn depthwise_ones_with_channels_last_of_every_width() {
    for (width, channels) in (1..=20).flat_map(|width| [16, 24, 33].map(|channels| (width, channels))) {
        let shape = Convolution2d { width, groups: channels, ..square(channels, 6, channels, 3, 1) };
        for (stride, dilation) in [([1, 1], 1), ([2, 2], 1), ([1, 2], 1), ([3, 3], 1), ([1, 1], 2), ([1, 1], 3)] {
            check_last(Convolution2d { stride, dilation: [dilation; 2], ..shape }, 2, width as u64);
        }
    }
}

#[test]
#[should_panic(expected = "channels last")]
fn few_channels_last_are_refused() {
    let shape = Convolution2d { groups: 15, ..square(15, 3, 15, 1, 0) };
    depthwise2d(&shape, 1, &[0.0; 135], &[0.0; 15], Epilogue::NONE, &mut [0.0; 135]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn depthwise_ones_with_channels_last_agree_with_their_twin(
        shape in any_depthwise_shape(), channels in 16usize..50, n in 1usize..4, seed in 0u64..1000,
    ) {
        check_last(Convolution2d { channels, filters: channels, groups: channels, ..shape }, n, seed);
    }

    #[test]
    fn convolutions_to_channels_last_agree_with_their_twin(shape in any_shape(), n in 1usize..4, seed in 0u64..1000) {
        let (channels, filters) = (shape.channels / shape.groups, shape.filters / shape.groups);
        check_to_last(Convolution2d { channels, filters, groups: 1, ..shape }, n, seed);
    }
}
