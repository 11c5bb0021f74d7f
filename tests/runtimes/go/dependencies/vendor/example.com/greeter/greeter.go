package greeter

import "fmt"

func Greet(name any) map[string]any {
	return map[string]any{"greeting": fmt.Sprintf("Hello %v!", name)}
}
