package main

var count int

func Main(args map[string]any) map[string]any {
	count++
	return map[string]any{"count": count}
}
