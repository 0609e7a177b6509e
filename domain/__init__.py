"""The vocabulary: ids, messages, decisions, errors and pure policies. Imports nothing of ours."""
