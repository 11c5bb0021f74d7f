package main

import "action/greeter"

func Main(args map[string]any) map[string]any {
	return greeter.Greet(args["name"])
}
