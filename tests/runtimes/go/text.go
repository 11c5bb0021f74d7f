package main

func Main(args map[string]any) string {
	return "not an object"
}
