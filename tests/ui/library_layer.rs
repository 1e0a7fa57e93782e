//! A layer of the library is at fault: the error stands at the call, the library's line in a note.

dln::network! {
    pub network Small {
        input image: [1, 4, 4];
        features = image
            |> relu
            |> conv2d(6, kernel: 5);
        noisy = features |> dropout(1.5);
        output value = noisy;
    }
}

fn main() {}
