package main

func Main(args map[string]any) []any {
	return []any{"a", "b"}
}
