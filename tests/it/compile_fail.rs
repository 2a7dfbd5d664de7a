//! Code that must not compile: it writes an entry without the proof of a permission for it.

#[test]
fn writing_without_the_right_permission_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/it/compile_fail/*.rs");
}
