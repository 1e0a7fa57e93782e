//! What the tests of resolve share: from a text to models or to diagnostics.

use dl_compiler::model::Model;
use dl_compiler::resolve::{Resolved, resolve};
use dl_compiler::{Diagnostic, Imports, Source, Sources, render};

/// What resolve makes of a text, the parser's diagnostics first.
pub(crate) fn resolved(text: &str) -> (Sources, Resolved) {
    let mut sources = Sources::default();
    let main = sources.add(Source::new("test.dln", text));
    let (file, mut diagnostics) = dl_grammar::parse(main, text);
    let mut resolved = resolve(&file, main, &Imports::default(), &mut sources);
    diagnostics.append(&mut resolved.diagnostics);
    resolved.diagnostics = diagnostics;
    (sources, resolved)
}

/// The models of a program without mistakes; their graphs are verified.
pub(crate) fn models(text: &str) -> Vec<Model> {
    let (sources, resolved) = resolved(text);
    assert_eq!(render(&sources, &resolved.diagnostics, false), "", "{text}");
    for model in &resolved.models {
        assert_eq!(model.training.verify(), Ok(()), "{text}");
        assert_eq!(model.inference.verify(), Ok(()), "{text}");
    }
    resolved.models
}

/// The only model of a program without mistakes.
pub(crate) fn model(text: &str) -> Model {
    let mut models = models(text);
    assert_eq!(models.len(), 1);
    models.remove(0)
}

/// What is wrong with a text, and how it is shown.
pub(crate) fn mistakes(text: &str) -> (Vec<Diagnostic>, String) {
    let (sources, resolved) = resolved(text);
    let shown = render(&sources, &resolved.diagnostics, false);
    (resolved.diagnostics, shown)
}
