//! Programs of several files: who sees whom, what is read, and what cannot be.

use std::collections::BTreeMap;

use dl_compiler::{Code, Compiled, Failure, Loader, Options, Source, compile, render};

/// Compiles `nets/main.dln` among files in memory.
fn compiled(files: &[(&str, &str)]) -> Result<Compiled, Box<Failure>> {
    let texts: BTreeMap<String, String> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let main = texts["nets/main.dln"].clone();
    let loader = Loader::new("nets/main.dln", move |path| match texts.get(path) {
        Some(text) => Ok(Source::new(path, text.as_str())),
        None => Err(Box::new(Failure {
            sources: Default::default(),
            imports: Default::default(),
            diagnostics: vec![dl_compiler::Diagnostic::new(
                Code::FileUnreadable,
                Default::default(),
                format!("cannot read `{path}`: there is no such file"),
            )],
            tokens: Default::default(),
        })),
    });
    let options = Options { loader: Some(loader), ..Options::default() };
    compile(Source::new("nets/main.dln", main), &options)
}

fn mistakes(files: &[(&str, &str)]) -> (Vec<Code>, String) {
    let failure = compiled(files).unwrap_err();
    let codes = failure.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    (codes, render(&failure.sources, &failure.diagnostics, false))
}

const NETWORK: &str = "network N { input x: [2]; output y = x |> block(WIDTH); }";

#[test]
fn declarations_come_from_imported_files_and_from_what_these_import() {
    let main = format!("import \"lib/blocks.dln\"; import \"../shared/sizes.dln\"; {NETWORK}");
    let compiled = compiled(&[
        ("nets/main.dln", &main),
        (
            "nets/lib/blocks.dln",
            "import \"../../shared/sizes.dln\"; layer block(x: [n], units) { x |> dense(units * SCALE) }
             network Unused { input x: [2]; output y = x |> block(WIDTH); }",
        ),
        ("shared/sizes.dln", "const WIDTH = 3; const SCALE = 2;"),
    ])
    .unwrap_or_else(|failure| panic!("{}", render(&failure.sources, &failure.diagnostics, false)));
    assert_eq!(compiled.inputs, ["nets/lib/blocks.dln", "shared/sizes.dln"]);
    // Code is made of what the program itself declares.
    assert_eq!(compiled.networks.len(), 1);
    let model = &compiled.networks[0].model;
    assert_eq!(model.outputs[0].dims, [6]);
    assert_eq!(model.parameters[0].path, "y.weight");
}

#[test]
fn a_file_sees_what_it_imports_and_no_more() {
    let (codes, shown) = mistakes(&[
        ("nets/main.dln", "import \"a.dln\"; const HIDDEN = 2; network N { input x: [2]; output y = f(x); }"),
        ("nets/a.dln", "fn f(x) = x * HIDDEN;"),
    ]);
    assert_eq!(codes, [Code::UnknownName], "{shown}");
    assert!(shown.contains("nets/a.dln:1:15") && shown.contains("not imported here"), "{shown}");

    // The program's own `dense` is not that of the file it imports.
    let compiled = compiled(&[
        (
            "nets/main.dln",
            "import \"a.dln\"; layer dense(x: [n], units) { x * units }
             network N { input x: [2]; output y = x |> dense(3) |> wide; }",
        ),
        ("nets/a.dln", "layer wide(x: [n]) { x |> dense(7) }"),
    ])
    .unwrap_or_else(|failure| panic!("{}", render(&failure.sources, &failure.diagnostics, false)));
    assert_eq!(compiled.networks[0].model.outputs[0].dims, [7]);
}

#[test]
fn imports_that_cannot_be_followed_are_mistakes() {
    for (import, code, what) in [
        ("b.dln", Code::FileUnreadable, "there is no such file"),
        ("/b.dln", Code::BadImport, "not relative"),
        ("", Code::BadImport, "names no file"),
        ("a/", Code::BadImport, "names no file"),
        ("./main.dln", Code::BadImport, "imports itself"),
    ] {
        let main = format!("import \"{import}\"; network N {{ input x: [2]; output y = x; }}");
        let (codes, shown) = mistakes(&[("nets/main.dln", &main)]);
        assert_eq!(codes, [code], "{shown}");
        assert!(shown.contains(what), "{shown}");
    }
    let (codes, shown) = mistakes(&[
        ("nets/main.dln", "import \"a.dln\"; network N { input x: [2]; output y = x; }"),
        ("nets/a.dln", "import \"b.dln\";"),
        ("nets/b.dln", "import \"c.dln\"; import \"a.dln\";"),
        ("nets/c.dln", "import \"b.dln\";"),
    ]);
    assert_eq!(codes, [Code::BadImport, Code::BadImport], "{shown}");
    assert!(shown.contains("`nets/b.dln` imports `nets/c.dln` imports `nets/b.dln`"), "{shown}");
    assert!(compile(Source::new("a.dln", "import \"b.dln\";"), &Options::default()).is_err());
}

#[test]
fn one_name_is_declared_in_one_file() {
    let (codes, shown) = mistakes(&[
        ("nets/main.dln", "import \"a.dln\"; fn f(x) = x; network N { input x: [2]; output y = f(x); }"),
        ("nets/a.dln", "fn f(x) = 2 * x;"),
    ]);
    assert_eq!(codes, [Code::DuplicateName], "{shown}");
    assert!(shown.contains("nets/main.dln") && shown.contains("nets/a.dln"), "{shown}");
}

#[test]
fn a_long_chain_of_imports_ends_at_a_limit() {
    let files: Vec<(String, String)> = (0..1000)
        .map(|place| (format!("nets/{place}.dln"), format!("import \"{}.dln\"; const C{place} = {place};", place + 1)))
        .collect();
    let main = ("nets/main.dln", "import \"0.dln\"; network N { input x: [2]; output y = x; }");
    let files: Vec<(&str, &str)> =
        std::iter::once(main).chain(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).collect();
    let (codes, shown) = mistakes(&files);
    assert_eq!(codes, [Code::BadImport], "{shown}");
}
