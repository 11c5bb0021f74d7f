// What the Go client library does with each kind of entity. Prints a line a case, as in the Test Anything Protocol.
package main

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"time"

	"github.com/apache/openwhisk-client-go/whisk"
)

const echo = "function main(args) { console.log('heard'); return args }"

var (
	client    *whisk.Client
	namespace = os.Getenv("NAMESPACE")
	yes       = true
)

func main() {
	var err error
	client, err = whisk.NewClient(http.DefaultClient, &whisk.Config{
		Host:      os.Getenv("WHISK_APIHOST"),
		AuthToken: os.Getenv("WHISK_AUTH"),
		Namespace: "_",
		Version:   "v1",
	})
	if err != nil {
		fmt.Println("not ok 1 - a client is made:", err)
		os.Exit(1)
	}
	cases := []struct {
		name string
		run  func() error
	}{
		{"namespaces and build", about},
		{"actions", actions},
		{"invocations", invocations},
		{"activations", activations},
		{"packages and bindings", packages},
		{"triggers and rules", triggers},
		{"exit codes of errors", failures},
	}
	failed := false
	for number, c := range cases {
		if err := c.run(); err != nil {
			failed = true
			fmt.Printf("not ok %d - %s\n  %v\n", number+1, c.name, err)
		} else {
			fmt.Printf("ok %d - %s\n", number+1, c.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// Tells the first pair of which the two are not the same.
func same(pairs ...interface{}) error {
	for at := 0; at+1 < len(pairs); at += 2 {
		if !reflect.DeepEqual(pairs[at], pairs[at+1]) {
			return fmt.Errorf("pair %d: found %v, expected %v", at/2+1, pairs[at], pairs[at+1])
		}
	}
	return nil
}

// Whether an error is what the library makes of that status.
func refused(err error, status int) error {
	known, ok := err.(*whisk.WskError)
	if !ok {
		return fmt.Errorf("expected the status %d, found %v", status, err)
	}
	return same(known.ExitCode, status-256, known.DisplayMsg, true)
}

func action(name string, code string) *whisk.Action {
	return &whisk.Action{Name: name, Exec: &whisk.Exec{Kind: "nodejs:default", Code: &code}}
}

func about() error {
	names, _, err := client.Namespaces.List()
	// The library forgets it with that call.
	client.Namespace = "_"
	if err != nil {
		return err
	}
	info, _, err := client.Info.Get()
	if err != nil {
		return err
	}
	return same(len(names), 1, names[0].Name, namespace, info.Build[:2], "20")
}

func actions() error {
	created := action("a", echo)
	created.Parameters = whisk.KeyValueArr{{Key: "k", Value: "v"}}
	made, _, err := client.Actions.Insert(created, false)
	if err != nil {
		return err
	}
	if err := same(made.Namespace, namespace, made.Version, "0.0.1", *made.Exec.Binary, false, made.Parameters.GetValue("k"), "v"); err != nil {
		return err
	}
	_, _, err = client.Actions.Insert(created, false)
	if err := refused(err, http.StatusConflict); err != nil {
		return err
	}
	made, _, err = client.Actions.Insert(created, true)
	if err != nil {
		return err
	}
	read, _, err := client.Actions.Get("a", true)
	if err != nil {
		return err
	}
	bare, _, err := client.Actions.Get("a", false)
	if err != nil {
		return err
	}
	list, _, err := client.Actions.List("", &whisk.ActionListOptions{Limit: 10})
	if err != nil {
		return err
	}
	if err := same(made.Version, "0.0.2", *read.Exec.Code, echo, bare.Exec.Code == nil, true, len(list), 1, list[0].Name, "a"); err != nil {
		return err
	}
	_, err = client.Actions.Delete("a")
	return err
}

func invocations() error {
	if _, _, err := client.Actions.Insert(action("i", echo), true); err != nil {
		return err
	}
	payload := map[string]interface{}{"n": "1"}
	result, _, err := client.Actions.Invoke("i", payload, true, true)
	if err != nil {
		return err
	}
	record, _, err := client.Actions.Invoke("i", payload, true, false)
	if err != nil {
		return err
	}
	accepted, _, err := client.Actions.Invoke("i", payload, false, false)
	if err != nil {
		return err
	}
	response := record.(map[string]interface{})["response"].(map[string]interface{})
	if err := same(result, payload, response["result"], payload, response["success"], true, len(accepted.(map[string]interface{})["activationId"].(string)), 32); err != nil {
		return err
	}
	if _, _, err := client.Actions.Insert(action("f", "function main() { return { error: 'on purpose' } }"), true); err != nil {
		return err
	}
	_, _, err = client.Actions.Invoke("f", payload, true, false)
	known, ok := err.(*whisk.WskError)
	if !ok {
		return fmt.Errorf("expected an error of the action, found %v", err)
	}
	return same(known.ApplicationError, true, known.ExitCode, http.StatusBadGateway-256)
}

func activations() error {
	if _, _, err := client.Actions.Insert(action("talk", echo), true); err != nil {
		return err
	}
	accepted, _, err := client.Actions.Invoke("talk", map[string]interface{}{"n": "2"}, false, false)
	if err != nil {
		return err
	}
	id := accepted.(map[string]interface{})["activationId"].(string)
	var record *whisk.Activation
	for left := 100; ; left-- {
		record, _, err = client.Activations.Get(id)
		if err == nil {
			break
		}
		if left == 0 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	logs, _, err := client.Activations.Logs(id)
	if err != nil {
		return err
	}
	result, _, err := client.Activations.Result(id)
	if err != nil {
		return err
	}
	list, _, err := client.Activations.List(&whisk.ActivationListOptions{Name: "talk", Limit: 5, Docs: true})
	if err != nil {
		return err
	}
	return same(
		record.Name, "talk", record.Namespace, namespace, len(logs.Logs), 1, result.Success, true,
		len(list), 1, list[0].ActivationID, id, len(list[0].Logs), 1,
	)
}

func packages() error {
	_, _, err := client.Packages.Insert(&whisk.Package{
		Name: "p", Publish: &yes, Parameters: whisk.KeyValueArr{{Key: "k", Value: "p"}},
	}, false)
	if err != nil {
		return err
	}
	if _, _, err := client.Actions.Insert(action("p/x", echo), false); err != nil {
		return err
	}
	read, _, err := client.Packages.Get("p")
	if err != nil {
		return err
	}
	if err := same(len(read.Actions), 1, read.Actions[0].Name, "x", *read.Publish, true); err != nil {
		return err
	}
	bound, _, err := client.Packages.Insert(&whisk.BindingPackage{
		Name: "b", Binding: whisk.Binding{Namespace: "_", Name: "p"}, Parameters: whisk.KeyValueArr{{Key: "l", Value: "b"}},
	}, false)
	if err != nil {
		return err
	}
	result, _, err := client.Actions.Invoke("b/x", map[string]interface{}{}, true, true)
	if err != nil {
		return err
	}
	inside, _, err := client.Actions.List("p", &whisk.ActionListOptions{Limit: 10})
	if err != nil {
		return err
	}
	list, _, err := client.Packages.List(&whisk.PackageListOptions{Limit: 10})
	if err != nil {
		return err
	}
	if err := same(
		bound.Binding.Namespace, namespace, bound.Binding.Name, "p", result, map[string]interface{}{"k": "p", "l": "b"},
		len(inside), 1, inside[0].Namespace, namespace+"/p", len(list), 2,
	); err != nil {
		return err
	}
	_, err = client.Packages.Delete("p")
	if err := refused(err, http.StatusConflict); err != nil {
		return err
	}
	_, err = client.Packages.Delete("b")
	return err
}

func triggers() error {
	if _, _, err := client.Actions.Insert(action("t-sink", echo), true); err != nil {
		return err
	}
	made, _, err := client.Triggers.Insert(&whisk.Trigger{Name: "t", Parameters: whisk.KeyValueArr{{Key: "k", Value: "t"}}}, false)
	if err != nil {
		return err
	}
	rule, _, err := client.Rules.Insert(&whisk.Rule{Name: "r", Trigger: "/_/t", Action: "/_/t-sink"}, false)
	if err != nil {
		return err
	}
	fired, _, err := client.Triggers.Fire("t", map[string]interface{}{"n": "3"})
	if err != nil {
		return err
	}
	if err := same(made.Version, "0.0.1", rule.Status, "active", len(fired.ActivationId), 32); err != nil {
		return err
	}
	for _, state := range []string{"inactive", "active"} {
		if _, _, err := client.Rules.SetState("r", state); err != nil {
			return err
		}
		read, _, err := client.Rules.Get("r")
		if err != nil {
			return err
		}
		if err := same(read.Status, state); err != nil {
			return err
		}
	}
	list, _, err := client.Rules.List(&whisk.RuleListOptions{Limit: 10})
	if err != nil {
		return err
	}
	all, _, err := client.Triggers.List(&whisk.TriggerListOptions{Limit: 10})
	if err != nil {
		return err
	}
	if err := same(len(list), 1, len(all), 1); err != nil {
		return err
	}
	if _, err := client.Rules.Delete("r"); err != nil {
		return err
	}
	_, _, err = client.Triggers.Delete("t")
	return err
}

func failures() error {
	_, _, err := client.Actions.Get("missing", false)
	if err := refused(err, http.StatusNotFound); err != nil {
		return err
	}
	_, _, err = client.Actions.Insert(&whisk.Action{Name: "k", Exec: &whisk.Exec{Kind: "nosuch:1"}}, false)
	if err := refused(err, http.StatusBadRequest); err != nil {
		return err
	}
	client.Namespace = "whisk.system"
	_, _, err = client.Actions.Insert(action("mine", echo), false)
	client.Namespace = "_"
	return refused(err, http.StatusForbidden)
}
