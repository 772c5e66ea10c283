//! For tests: given, when, then; the contract suites; a running box on port 0
