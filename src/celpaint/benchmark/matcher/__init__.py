"""What ``benchmarks/matcher.py`` measures, a part a module."""
