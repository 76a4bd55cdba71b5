"""What speaks a tool's language: one package a tool, none importing another."""
