//! What tools read: JSON, drawings, completions; and what people ask for: explanations and new crates.

mod common;

use common::{XOR, dln, file, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const TWO: &str = "
layer block(x: [.., n], width) {
    param gain: [n] = ones;
    y = x |> first: dense(width) |> relu |> dense(n);
    y * gain + x
}
network Big { input x: [6]; y = x |> block(8) |> block(4); output z = softmax(y); }
network Small { input a: [2]; label b: [2]; output c = a; p = a |> dense(2); loss mse(p, b); }
";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn check_searches_folders() {
    let root = folder("search");
    for (path, text) in [
        ("a.dln", XOR),
        ("deep/er/b.dln", XOR),
        ("deep/layers.dln", "layer twice(x: [..]) { 2 * x }"),
        ("deep/notes.txt", "no program"),
        (".hidden/c.dln", "network {"),
        ("target/CACHEDIR.TAG", ""),
        ("target/d.dln", "network {"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let output = dln([Path::new("check"), &root]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected: String = ["a.dln", "deep/er/b.dln", "deep/layers.dln"]
        .map(|name| format!("{}: ok\n", root.join(name).display()))
        .concat();
    assert_eq!(stdout(&output), expected);
    assert_eq!(stderr(&output), "all 3 files are right\n");

    std::fs::write(root.join("deep/wrong.dln"), "network N { input x: [2]; output y = z; output z = w; }")
        .expect("a file");
    let output = dln([Path::new("check"), &root]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("error: 2 mistakes in 1 of 4 files\n"), "{}", stderr(&output));

    let output = dln([Path::new("check"), &root.join("target/..").join(".hidden").join("..").join("empty")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("E0006"), "{}", stderr(&output));
    let output = dln([Path::new("check"), &folder("search_nothing")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no .dln files"), "{}", stderr(&output));
}

#[test]
fn json_tells_places_in_lines_columns_and_bytes() {
    let text = "// é\nnetwork N {\n    input ö_no: [2];\n    output y = x + 1;\n}\n";
    let right = file("json", "right.dln", XOR);
    let wrong = file("json", "wrong.dln", text.replace("ö_no", "image"));
    let output = dln([Path::new("check"), Path::new("--format=json"), &right, &wrong]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "");
    let lines = lines(&stdout(&output));
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(kinds, ["file", "diagnostic", "file", "total"]);
    assert_eq!((&lines[0]["ok"], &lines[2]["ok"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!((lines[3]["files"].as_u64(), lines[3]["failed"].as_u64()), (Some(2), Some(1)));

    let mistake = &lines[1];
    assert_eq!(mistake["code"], "E0101");
    assert_eq!(mistake["message"], "there is no value `x`");
    let place = &mistake["spans"][0];
    assert_eq!(place["file"], wrong.display().to_string());
    assert_eq!(place["is_primary"], true);
    // One byte more than characters before it: the é of the first line.
    let byte = text.replace("ö_no", "image").find("x + 1").expect("it is there");
    assert_eq!(place["start"], serde_json::json!({ "byte": byte, "line": 4, "column": 16 }));
    assert_eq!(place["end"], serde_json::json!({ "byte": byte + 1, "line": 4, "column": 17 }));
    let rendered = mistake["rendered"].as_str().expect("text");
    assert!(rendered.starts_with("error[E0101]") && !rendered.contains('\u{1b}'), "{rendered}");
}

#[test]
fn summary_nests_layers_by_path() {
    let path = file("nested", "two.dln", TWO);
    let lines = lines(&stdout(&dln([Path::new("summary"), Path::new("--format=json"), &path])));
    assert_eq!(lines.len(), 2);
    let blocks = &lines[0]["layers"][0]["layers"];
    let names: Vec<_> =
        blocks.as_array().expect("layers").iter().map(|layer| (&layer["name"], &layer["callee"])).collect();
    assert_eq!(names, [(&"block_1".into(), &"block".into()), (&"block_2".into(), &"block".into())]);
    // 6·8 + 8 and 8·6 + 6, and a gain of 6.
    assert_eq!(blocks[0]["parameters"], 6 * 8 + 8 + 8 * 6 + 6 + 6);
    assert_eq!(blocks[1]["parameters"], 6 * 4 + 4 + 4 * 6 + 6 + 6);
    let inner = &blocks[0]["layers"];
    assert_eq!((&inner[0]["name"], &inner[0]["output"]), (&"y.first".into(), &serde_json::json!([8])));
    assert_eq!((&inner[1]["callee"], &inner[2]["name"]), (&"relu".into(), &"y".into()));
    assert_eq!(lines[0]["parameters"], 236 - 56);
}

#[test]
fn memory_shows_pieces_that_do_not_overlap_while_both_are_needed() {
    let path = file("memory", "two.dln", TWO);
    let lines = lines(&stdout(&dln([Path::new("summary"), Path::new("--memory"), Path::new("--format=json"), &path])));
    assert!(lines.len() > 5, "{lines:?}");
    let pair = |piece: &Value, key: &str| [0, 1].map(|place| piece[key][place].as_u64().expect("a number"));
    for (place, one) in lines.iter().enumerate() {
        for other in &lines[place + 1..] {
            let same = ["network", "program", "home"].iter().all(|key| one[key] == other[key]);
            let meet = |key| {
                let ([a, b], [c, d]) = (pair(one, key), pair(other, key));
                if key == "bytes" { a < d && c < b } else { a <= d && c <= b }
            };
            assert!(!(same && meet("bytes") && meet("steps")), "{one} {other}");
        }
    }
    let text = stdout(&dln([Path::new("summary"), Path::new("--memory"), &path]));
    assert!(text.contains("Small, training, each shard of 16 examples:"), "{text}");
}

#[test]
fn a_drawing_shows_layers_and_their_data() {
    let path = file("graph", "two.dln", TWO);
    let output = dln([Path::new("graph"), &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Big, Small; choose one by --network NAME"), "{}", stderr(&output));
    let output = dln([Path::new("graph"), &path, Path::new("--network=Smal")]);
    assert!(stderr(&output).contains("did you mean `Small`?"), "{}", stderr(&output));

    let text = stdout(&dln([Path::new("graph"), &path, Path::new("--network=Big")]));
    assert!(text.starts_with("digraph \"Big\" {"), "{text}");
    for label in
        ["block_1: block", "y.first: dense\\n4\\n28 parameters", "y.block_2.gain\\n6", "output z\\n6", "input x\\n6"]
    {
        assert!(text.contains(label), "{label}: {text}");
    }
    // What flows: from the input to the first layer and around it.
    let node = |label: &str| {
        let line = text.lines().find(|line| line.contains(label)).expect(label);
        line.split_whitespace().next().expect("a name").to_owned()
    };
    let edge = |from: &str, to: &str| text.contains(&format!("    {} -> {};\n", node(from), node(to)));
    assert!(edge("input x", "y.first: dense\\n8") && edge("input x", "\"add"), "{text}");
    assert!(edge("y.first: dense\\n8", "relu\\n8") && edge("z: softmax", "output z"), "{text}");
    assert!(!edge("input x", "relu\\n8"), "{text}");

    let twins = "network Twins { input a: [3]; input b: [3]; shared code = dense(2); u = a |> code; v = b |> code; output y = u - v; }";
    let drawn = stdout(&dln([Path::new("graph"), &file("graph", "twins.dln", twins)]));
    assert_eq!(drawn.matches("label=\"shared\"").count(), 1, "{drawn}");

    let target = folder("graph_out").join("net.dot");
    let arguments = [Path::new("graph"), &path, Path::new("--network=Big"), Path::new("-o"), &target];
    assert_eq!(dln(arguments).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(target).expect("a drawing"), text);
}

#[test]
fn a_picture_needs_graphviz() {
    let path = file("picture", "xor.dln", XOR);
    let target = folder("picture_out").join("xor.svg");
    let run = |path_variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dln"));
        command.arg("graph").arg(&path).arg("-o").arg(&target);
        path_variable.map(|value| command.env("PATH", value));
        command.output().expect("the binary starts")
    };
    let output = run(Some("/nowhere"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("needs Graphviz") && stderr(&output).contains("write a .dot file"),
        "{}",
        stderr(&output)
    );
    if Command::new("dot").arg("-V").output().is_ok() {
        let output = run(None);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let picture = std::fs::read_to_string(&target).expect("a picture");
        assert!(picture.contains("<svg") && picture.contains("input x"), "{picture}");
    }
}

#[test]
fn explanations_are_those_of_the_catalogue() {
    let page = stdout(&dln(["explain", "E0303"]));
    assert!(page.starts_with("E0303: two shapes do not broadcast together\n\n"), "{page}");
    assert!(page.contains("    network N {\n        input a: [3];"), "{page}");
    assert!(!page.contains("```"), "{page}");
    assert_eq!(page, stdout(&dln(["explain", "303"])));
    let list = stdout(&dln(["explain"]));
    assert_eq!(list.lines().count(), dl_compiler::Code::ALL.len());
}

#[test]
fn shells_complete_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&dln(["completions", shell]));
        assert!(script.contains("explain") && script.contains("memory"), "{shell}: {script}");
    }
}

#[test]
fn a_new_crate_trains() {
    let folder = folder("new").join("two-spirals");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = dln([Path::new("new"), &folder, Path::new("--dln"), &root]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let again = dln([Path::new("new"), &folder, Path::new("--dln"), &root]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("not empty"), "{}", stderr(&again));

    // The same versions as here, and nothing from outside.
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--offline", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-target"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let accuracy = text.rsplit(": ").next().and_then(|rest| rest.trim().trim_end_matches(" %").parse::<f32>().ok());
    // Guessing is right half of the time.
    assert!(accuracy.is_some_and(|accuracy| accuracy > 90.0), "{text}");
}

#[test]
fn names_that_no_crate_can_bear() {
    for name in ["9lives", "größe", "a b", "fn", "self", "core", "dln", "."] {
        let output = dln(["new", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains("cannot be the name of a crate"), "{name}: {}", stderr(&output));
    }
}

#[test]
fn fmt_writes_files_once_and_keeps_what_does_not_parse() {
    let root = folder("fmt");
    let crooked = "network N{input x:[2];// two\noutput y=relu( x );}\n";
    let (one, wrong) = (root.join("one.dln"), root.join("wrong.dln"));
    std::fs::write(&one, crooked).expect("a file");
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");

    let check = dln([Path::new("fmt"), Path::new("--check"), &root]);
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(stdout(&check), format!("{}\n", one.display()));
    assert_eq!(read(&one), crooked, "checking changes nothing");

    let output = dln([Path::new("fmt"), &root]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()), "{}", stderr(&output));
    let text = read(&one);
    assert!(text.contains("    input x: [2];") && text.contains("// two") && text.contains("relu(x)"), "{text}");
    assert_eq!(dln([Path::new("fmt"), Path::new("--check"), &root]).status.code(), Some(0));

    let broken = "network N { input x [2] }";
    std::fs::write(&wrong, broken).expect("a file");
    std::fs::write(&one, crooked).expect("a file");
    let output = dln([Path::new("fmt"), &root]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("E0001"), "{}", stderr(&output));
    assert_eq!((read(&wrong), read(&one)), (broken.to_owned(), text.clone()));
    assert_eq!(std::fs::read_dir(&root).expect("a folder").count(), 2, "nothing is left behind");

    let filter = |input: &Path| {
        let input = std::fs::File::open(input).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_dln"));
        command.args(["fmt", "-"]).stdin(input).output().expect("the binary starts")
    };
    assert_eq!(stdout(&filter(&one)), text);
    let output = filter(&wrong);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty() && stderr(&output).contains("<stdin>:1:"), "{}", stderr(&output));
}

#[test]
fn all_commands_follow_imports() {
    let root = folder("imports");
    std::fs::create_dir_all(root.join("nets")).expect("a folder");
    std::fs::write(root.join("nets/layers.dln"), "layer twice(x: [..]) { 2 * x }\n").expect("a file");
    let net = root.join("nets/net.dln");
    let text = "import \"layers.dln\";\n\nnetwork N { input x: [2]; output y = twice(x); }\n";
    std::fs::write(&net, text).expect("a file");
    for command in ["check", "expand", "summary", "graph"] {
        for (folder, path) in
            [(&root, net.as_path()), (&root, Path::new("nets/net.dln")), (&root.join("nets"), Path::new("net.dln"))]
        {
            let mut run = Command::new(env!("CARGO_BIN_EXE_dln"));
            let output = run.arg(command).arg(path).current_dir(folder).output().expect("the binary starts");
            assert_eq!(output.status.code(), Some(0), "{command}: {}", stderr(&output));
        }
    }
    std::fs::write(&net, text.replace("layers", "leyers")).expect("a file");
    let output = dln([Path::new("check"), &net]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("net.dln:1:8"), "{}", stderr(&output));
}
