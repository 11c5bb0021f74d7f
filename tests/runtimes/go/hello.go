package main

func Main(args map[string]any) map[string]any {
	name, ok := args["name"].(string)
	if !ok {
		name = "stranger"
	}
	return map[string]any{"greeting": "Hello " + name + "!"}
}
