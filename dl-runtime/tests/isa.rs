//! The environment variable `DLN_ISA` asks for an instruction set; what the machine lacks is not used.

use std::process::Command;

use dl_runtime::{Epilogue, Isa, MatMul, Pack, Team, isa, matmul, pack};

/// Set in the process that answers.
const ANSWER: &str = "DLN_ISA_TEST_ANSWER";

/// What a process with `DLN_ISA` set to `asked` uses, and the sum of a product that it computes.
fn answer(asked: &str) -> (String, f32) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "answers", "--nocapture", "--test-threads=1"])
        .env("DLN_ISA", asked)
        .env(ANSWER, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{asked}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("answer: ")).expect("an answer").1;
    let (isa, sum) = line.split_once(' ').unwrap();
    (isa.to_owned(), sum.parse().unwrap())
}

/// Not a test of its own: what the other processes run.
#[test]
fn answers() {
    if std::env::var_os(ANSWER).is_none() {
        return;
    }
    let (inputs, outputs, n) = (33, 21, 5);
    let layout = Pack { inputs, outputs, transposed: false };
    let weight: Vec<f32> = (0..inputs * outputs).map(|i| (i % 7) as f32 - 3.0).collect();
    let x: Vec<f32> = (0..n * inputs).map(|i| (i % 5) as f32 - 2.0).collect();
    let mut panels = vec![0.0; layout.len()];
    pack(&layout, &weight, &mut panels, &Team::serial());
    let mut y = vec![0.0; n * outputs];
    matmul(&MatMul { rows: 1, inputs, outputs }, n, &x, &panels, Epilogue::NONE, &mut y);
    println!("answer: {:?} {}", isa(), y.iter().map(|y| y * y).sum::<f32>());
}

#[test]
fn each_instruction_set_can_be_asked_for() {
    // Whole numbers, so that every order of the sums gives this.
    let expected: f32 = (0..5 * 21)
        .map(|place| {
            let (example, output) = (place / 21, place % 21);
            let y: i32 = (0..33).map(|k| ((example * 33 + k) % 5 - 2) * ((k * 21 + output) % 7 - 3)).sum();
            (y * y) as f32
        })
        .sum();
    let (best, sum) = answer("the best there is");
    assert_eq!(sum, expected, "{best}");
    let sets = [("scalar", Isa::Scalar), ("neon", Isa::Neon), ("avx2", Isa::Avx2), ("avx512", Isa::Avx512)];
    let (_, best) = *sets.iter().find(|(_, set)| format!("{set:?}") == best).expect("one of them");
    assert!(best >= isa());
    for (name, set) in sets {
        let has = set == Isa::Scalar || set <= best && (set == Isa::Neon) == cfg!(target_arch = "aarch64");
        let (found, sum) = answer(name);
        assert_eq!(found, format!("{:?}", if has { set } else { best }), "{name}");
        assert_eq!(sum, expected, "{name}");
    }
}
