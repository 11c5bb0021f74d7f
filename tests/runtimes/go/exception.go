package main

import "errors"

func Main(args map[string]any) (map[string]any, error) {
	return nil, errors.New("nooooo")
}
