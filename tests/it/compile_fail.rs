//! What must not compile: writing an entry without the proof of a permission that allows it.

#[test]
fn writing_without_the_right_permission_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/it/compile_fail/*.rs");
}
