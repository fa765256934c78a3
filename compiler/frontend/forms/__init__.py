"""Normal forms: the one spelling that programs have for what ATen says in many ways."""
