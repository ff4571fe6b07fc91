"""The benchmark harness: contestants in interpreters of their own, checked, then timed in alternation."""
