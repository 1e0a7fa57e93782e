//! Budgets against networks whose size is known.

use dl_compiler::{Code, Options, Source, compile};

/// The mistakes of a network with 16 · 8 + 8 + 8 · 2 + 2 = 154 parameters.
fn mistakes(budget: &str) -> Vec<(Code, String)> {
    let text =
        format!("network N {{ input x: [16]; output y = x |> dense(8) |> relu |> dense(2); budget {{ {budget} }} }}");
    match compile(Source::new("test.dln", text), &Options::default()) {
        Ok(_) => Vec::new(),
        Err(failure) => failure.diagnostics.into_iter().map(|found| (found.code, found.message)).collect(),
    }
}

#[test]
fn parameters_are_counted() {
    for budget in ["parameters < 155", "parameters <= 154", "parameters < 155, parameters <= 154"] {
        assert_eq!(mistakes(budget), [], "{budget}");
    }
    let message = "`N` needs 154 parameters, its budget is fewer than 154".to_owned();
    assert_eq!(mistakes("parameters < 154"), [(Code::OverBudget, message)]);
    let message = "`N` needs 154 parameters, its budget is at most 153".to_owned();
    assert_eq!(mistakes("parameters <= 153"), [(Code::OverBudget, message)]);
}

#[test]
fn memory_holds_parameters_and_the_workspace_of_one_example() {
    // At least the parameters; at most these, what is between the layers, the outputs, and the fixed part's padding.
    assert_eq!(mistakes(&format!("memory <= {}", 4 * (154 + 16 + 8 + 2 + 64))), []);
    assert_eq!(mistakes(&format!("memory <= {}", 4 * 154)).len(), 1);
}
