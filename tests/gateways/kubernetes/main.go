// A stand-in of External Secrets Operator 2.9 for docs/kubernetes.md: does with a SecretStore of the
// webhook provider and an ExternalSecret what the operator does (GetWebhookData and GetSecret of
// providers/v1/webhook, GetProviderSecretData of pkg/controllers/externalsecret), with the libraries
// it uses. Templates have the functions of text/template alone.
//
// Reads JSON from standard input, and writes what becomes of the Kubernetes secret to standard output.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/PaesslerAG/jsonpath"
	"gopkg.in/yaml.v3"
)

// The input.
type job struct {
	// The YAML documents of the page, in one text.
	Manifests string `json:"manifests"`
	// The vault in the place of the one that the store names.
	Server string `json:"server"`
	// The token in the place of the one in the secret.
	Token string `json:"token"`
	// The names that the ExternalSecret asks for; null for its own.
	Keys []string `json:"keys"`
	// The policy in the place of the ExternalSecret's; "" for its own.
	DeletionPolicy string `json:"deletionPolicy"`
	// What the Kubernetes secret holds before.
	Existing map[string]string `json:"existing"`
}

// The output.
type result struct {
	// The error of the ExternalSecret, which is SecretSyncedError then.
	Error string `json:"error,omitempty"`
	// What the Kubernetes secret holds after; null if it was deleted.
	Data map[string]string `json:"data"`
}

type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Provider struct{ Webhook *webhook }
		Target   struct {
			DeletionPolicy string `yaml:"deletionPolicy"`
		}
		SecretStoreRef struct{ Name string } `yaml:"secretStoreRef"`
		Data           []struct {
			SecretKey string                                  `yaml:"secretKey"`
			RemoteRef struct{ Key, Version, Property string } `yaml:"remoteRef"`
		}
	}
}

type webhook struct {
	URL     string
	Method  string
	Headers map[string]string
	Timeout string
	Result  struct {
		JSONPath string `yaml:"jsonPath"`
	}
	Secrets []struct {
		Name      string
		SecretRef struct{ Name string } `yaml:"secretRef"`
	}
}

var errNoSecret = errors.New("Secret does not exist")

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked job
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	found, err := parse(asked.Manifests)
	if err != nil {
		return err
	}
	external, ok := found["ExternalSecret"]
	if !ok {
		return errors.New("the page has no ExternalSecret")
	}
	store, ok := found["SecretStore"]
	if !ok || store.Spec.Provider.Webhook == nil || store.Metadata.Name != external.Spec.SecretStoreRef.Name {
		return errors.New("the page has no SecretStore of the webhook provider that the ExternalSecret names")
	}
	secret := found["Secret"]
	if secret.Metadata.Labels["external-secrets.io/type"] != "webhook" || secret.StringData["token"] == "" {
		return errors.New("the secret with the token has no token, or not the label the operator asks for")
	}
	secret.StringData["token"] = asked.Token
	policy := asked.DeletionPolicy
	if policy == "" {
		policy = external.Spec.Target.DeletionPolicy
	}
	data := map[string]string{}
	keys := asked.Keys
	if keys == nil {
		for _, one := range external.Spec.Data {
			if one.SecretKey != one.RemoteRef.Key {
				return fmt.Errorf("%s is called %s", one.RemoteRef.Key, one.SecretKey)
			}
			keys = append(keys, one.RemoteRef.Key)
		}
	}
	for _, key := range keys {
		value, err := getSecret(*store.Spec.Provider.Webhook, secret, asked.Server, key)
		if errors.Is(err, errNoSecret) && policy != "Retain" {
			continue
		}
		if err != nil {
			return write(out, result{Error: err.Error(), Data: asked.Existing})
		}
		data[key] = value
	}
	if len(data) == 0 && policy == "Delete" {
		return write(out, result{})
	}
	// The operator removes the keys it wrote before and does not find any more.
	return write(out, result{Data: data})
}

func write(out io.Writer, outcome result) error {
	return json.NewEncoder(out).Encode(outcome)
}

// The manifests of the page, by their kind; the first of each counts.
func parse(text string) (map[string]manifest, error) {
	found := map[string]manifest{}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var one manifest
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if _, ok := found[one.Kind]; !ok {
			found[one.Kind] = one
		}
	}
}

func getSecret(hook webhook, secret manifest, server, key string) (string, error) {
	timeout, err := time.ParseDuration(hook.Timeout)
	if err != nil {
		return "", err
	}
	values := func(key string) map[string]map[string]string {
		data := map[string]map[string]string{"remoteRef": {"key": key, "version": "", "property": "", "namespace": "default"}}
		for _, ref := range hook.Secrets {
			if ref.SecretRef.Name == secret.Metadata.Name {
				data[ref.Name] = secret.StringData
			}
		}
		return data
	}
	address, err := render(hook.URL, values(url.QueryEscape(key)))
	if err != nil {
		return "", err
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	host, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	parsed.Scheme, parsed.Host = host.Scheme, host.Host
	method := hook.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequest(method, parsed.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	for name, text := range hook.Headers {
		value, err := render(text, values(key))
		if err != nil {
			return "", err
		}
		request.Header.Add(name, value)
	}
	client := http.Client{Timeout: timeout}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return "", errNoSecret
	}
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		return "", fmt.Errorf("endpoint gave error %s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	path, err := render(hook.Result.JSONPath, values(key))
	if err != nil {
		return "", err
	}
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return "", err
	}
	at, err := jsonpath.Get(path, document)
	if err != nil {
		return "", err
	}
	switch value := at.(type) {
	case nil:
		// The operator writes an empty value.
		return "", nil
	case string:
		return value, nil
	default:
		return "", fmt.Errorf("the value is a %T", at)
	}
}

func render(text string, data map[string]map[string]string) (string, error) {
	parsed, err := template.New("webhooktemplate").Parse(text)
	if err != nil {
		return "", err
	}
	var result strings.Builder
	err = parsed.Execute(&result, data)
	return result.String(), err
}
