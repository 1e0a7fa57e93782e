//! What a user of the macros sees where a description is wrong: each file of `tests/ui` must fail to compile with
//! exactly the messages beside it.

#[test]
fn errors_stand_on_the_tokens_they_speak_of() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
