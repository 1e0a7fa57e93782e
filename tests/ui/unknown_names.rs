//! Names that nothing bears, with what was perhaps meant.

dln::network! {
    pub network Unknown {
        input image: [1, 8, 8];
        label kind: index(3);
        logits = imgae |> flaten |> dense(3, biass: false);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, kind);
    }
}

fn main() {}
