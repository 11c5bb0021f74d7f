// Runs a Go action: compiled together with it, as one program that the action proxy starts.
//
// Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each; descriptors 1
// and 2 are the action's logs. The first answer says whether the action can be called. (The protocol is
// upstream's, apache/openwhisk-runtime-go: docs/ACTION.md; the member `error` of the first answer is ours.)
// All names begin alike, since they share a package with the action's own.

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// The name below is replaced by that of the action's function.
var oxwhiskAction = reflect.ValueOf(Main)

var oxwhiskError = reflect.TypeFor[error]()

// oxwhiskCheck tells why a function cannot be an action.
func oxwhiskCheck(action reflect.Type) error {
	if action.Kind() != reflect.Func {
		return errors.New("the action's entry point is not a function")
	}
	if action.IsVariadic() || action.NumIn() > 1 {
		return fmt.Errorf("the action's function takes more than one argument: %v", action)
	}
	switch {
	case action.NumOut() == 1 && action.Out(0) != oxwhiskError:
		return nil
	case action.NumOut() == 2 && action.Out(1) == oxwhiskError:
		return nil
	}
	return fmt.Errorf("the action's function must return a value, or a value and an error: %v", action)
}

// oxwhiskCall runs the action once.
func oxwhiskCall(value json.RawMessage) (any, error) {
	var arguments []reflect.Value
	if kind := oxwhiskAction.Type(); kind.NumIn() == 1 {
		argument := reflect.New(kind.In(0))
		if len(value) > 0 {
			if err := json.Unmarshal(value, argument.Interface()); err != nil {
				return nil, fmt.Errorf("the arguments do not fit the action: %w", err)
			}
		}
		arguments = append(arguments, argument.Elem())
	}
	results := oxwhiskAction.Call(arguments)
	if len(results) == 2 && !results[1].IsNil() {
		return nil, results[1].Interface().(error)
	}
	return results[0].Interface(), nil
}

// oxwhiskAnswer is the line for one request.
func oxwhiskAnswer(line []byte) ([]byte, error) {
	var request map[string]json.RawMessage
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, err
	}
	for key, raw := range request {
		var text string
		if key != "value" && json.Unmarshal(raw, &text) == nil {
			os.Setenv("__OW_"+strings.ToUpper(key), text)
		}
	}
	result, err := oxwhiskCall(request["value"])
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// oxwhiskRequests moves the requests to a descriptor that neither the action nor its children read from.
func oxwhiskRequests() (*bufio.Reader, error) {
	private, err := syscall.Dup(0)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(private)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := syscall.Dup3(int(null.Fd()), 0, 0); err != nil {
		return nil, err
	}
	return bufio.NewReader(os.NewFile(uintptr(private), "requests")), null.Close()
}

func main() {
	syscall.CloseOnExec(3)
	answers := os.NewFile(3, "answers")
	failure := func(err error, members map[string]any) []byte {
		members["error"] = err.Error()
		line, _ := json.Marshal(members)
		return line
	}
	send := func(line []byte) {
		if _, err := answers.Write(append(line, '\n')); err != nil {
			os.Exit(1)
		}
	}
	requests, err := oxwhiskRequests()
	if err == nil {
		err = oxwhiskCheck(oxwhiskAction.Type())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		send(failure(err, map[string]any{"ok": false}))
		os.Exit(1)
	}
	send([]byte(`{"ok":true}`))
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			if err != io.EOF {
				fmt.Fprintln(os.Stderr, err)
			}
			return
		}
		answer, err := oxwhiskAnswer(line)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			answer = failure(err, map[string]any{})
		}
		send(answer)
	}
}
