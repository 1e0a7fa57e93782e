//! Other programs read checkpoints by name: the Python of `docs/checkpoints.md`, run on a file, computes the same outputs.
//!
//! `PYTHON` names the interpreter (`python3` without it); blocks whose modules it lacks are skipped.

use std::fs;
use std::process::Command;

use dl_train::{Progress, Trainer};

dln::network! {
    network Xor {
        input bits: [2];
        label odd: [1];
        logit = bits |> hidden: dense(8) |> tanh |> last: dense(1);
        output probability = sigmoid(logit);
        loss binary_cross_entropy(logit, odd);
        train { optimizer: adam(learning_rate: 0.05), batch: 4, epochs: 100 }
    }
}

#[test]
fn the_blocks_of_python_read_a_checkpoint() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("xor.safetensors");
    let cases = xor::Examples {
        bits: vec![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        odd: vec![[0.0], [1.0], [1.0], [0.0]],
    };
    let trained = Trainer::<Xor>::new().progress(Progress::Silent).fit(&cases, &cases).unwrap();
    trained.save(&file).unwrap();
    let expected = trained.predict(&cases).unwrap().probability;

    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/checkpoints.md")).unwrap();
    let blocks: Vec<&str> = page.split("```python\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let imports: Vec<&str> =
            block.lines().filter(|line| line.starts_with("import ") || line.starts_with("from ")).collect();
        let run = |code: &str| Command::new(&python).args(["-c", code]).output();
        if !run(&imports.join("\n")).is_ok_and(|output| output.status.success()) {
            println!("skipped, {python} lacks a module: {}", imports.join("; "));
            continue;
        }
        let output = run(&format!("FILE = {:?}\n{block}", file.display().to_string())).unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        if let Some(numbers) = printed.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
            let numbers: Vec<f32> = numbers.split(',').map(|number| number.trim().parse().unwrap()).collect();
            assert_eq!(numbers.len(), 4);
            for (found, [expected]) in numbers.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
            }
            println!("the same outputs: {}", imports.join("; "));
        }
    }
}
