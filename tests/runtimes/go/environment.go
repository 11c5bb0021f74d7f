package main

import (
	"os"
	"strings"
)

var names = []string{"api_host", "api_key", "namespace", "action_name", "action_version", "activation_id",
	"transaction_id", "deadline"}

func Main(args map[string]any) map[string]any {
	found := map[string]any{}
	for _, name := range names {
		if value, ok := os.LookupEnv("__OW_" + strings.ToUpper(name)); ok {
			found[name] = value
		}
	}
	return found
}
