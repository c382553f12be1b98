// Package openbao drives a running okmsd with OpenBao's own Go client, which is Vault's in all that matters here:
// bao, vault, Terraform and External Secrets Operator speak through it. The variables of `okmsd dev`'s env.sh say
// where the server is and who we are.
package openbao

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

// The mount that is always there.
const mount = "secret"

// What a version says of itself, in reads and in answers to writes.
var versionKeys = []string{"created_time", "custom_metadata", "deletion_time", "destroyed", "version"}

type object = map[string]any

func ptr[T any](v T) *T { return &v }

// The client reads BAO_* before VAULT_*, and more of them than env.sh sets: what the person who runs this has for
// another server must not leak in.
func TestMain(m *testing.M) {
	ours := []string{"VAULT_ADDR", "VAULT_CACERT", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"}
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "BAO_") || strings.HasPrefix(name, "VAULT_") && !slices.Contains(ours, name) {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: source the env.sh of okmsd dev, or start through tests/compat/run.sh", name)
	}
	return value
}

// A server that one test talks to, seen through the client.
type server struct {
	*api.Client
	ctx context.Context
}

// A client certificate; the zero value is none.
type identity struct{ certificate, key string }

// connect goes where the environment says, as whom it says, and as the client itself reads it.
func connect(t *testing.T) server {
	t.Helper()
	for _, name := range []string{"VAULT_ADDR", "VAULT_CACERT", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"} {
		env(t, name)
	}
	return dial(t, api.DefaultConfig())
}

func connectTo(t *testing.T, address string, as identity) server {
	t.Helper()
	config := api.NewConfig()
	config.Address = address
	must(t, "TLS", config.ConfigureTLS(&api.TLSConfig{
		CACert: env(t, "VAULT_CACERT"), ClientCert: as.certificate, ClientKey: as.key,
	}))
	return dial(t, config)
}

func connectAs(t *testing.T, as identity) server {
	t.Helper()
	return connectTo(t, env(t, "VAULT_ADDR"), as)
}

func dial(t *testing.T, config *api.Config) server {
	t.Helper()
	must(t, "configuration", config.Error)
	// No retries: a 5xx or a 429 that a retry would paper over is a finding here.
	config.MaxRetries = 0
	config.Timeout = 20 * time.Second
	client, err := api.NewClient(config)
	must(t, "client", err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return server{client, ctx}
}

// holding is the same client with a token. A clone shares the connection, and nothing of its state.
func (s server) holding(t *testing.T, token string) server {
	t.Helper()
	clone, err := s.Clone()
	must(t, "clone", err)
	clone.SetToken(token)
	return server{clone, s.ctx}
}

func ourIdentity(t *testing.T) identity {
	t.Helper()
	return identity{env(t, "VAULT_CLIENT_CERT"), env(t, "VAULT_CLIENT_KEY")}
}

// anotherIdentity is one more certificate of our domain; with a signing request, for the key that made that.
// It takes the operator's certificate, which `okmsd dev` leaves in its folder.
func anotherIdentity(t *testing.T, request ...string) identity {
	t.Helper()
	okmsd, folder := os.Getenv("OKMSD"), filepath.Dir(env(t, "VAULT_CACERT"))
	if okmsd == "" {
		skip(t, "OKMSD does not name an okmsd that could issue a second certificate")
	}
	if _, err := os.Stat(filepath.Join(folder, "operator_certificate.pem")); err != nil {
		skip(t, folder+" has no operator certificate to issue a second one with")
	}
	out, id := t.TempDir(), env(t, "OKMS_ID")
	arguments := []string{"cert", "issue", "--domain", id, "--name", "openbao", "--dir", folder,
		"--endpoint", env(t, "KMS_RESTAPI_ENDPOINT"), "--out", out}
	for _, path := range request {
		arguments = append(arguments, "--csr", path)
	}
	if text, err := exec.Command(okmsd, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("okmsd %s: %v\n%s", strings.Join(arguments, " "), err, text)
	}
	return identity{filepath.Join(out, id+"_certificate.pem"), filepath.Join(out, id+"_privatekey.pem")}
}

// skip says on a line of its own what is not tested, as tests/compat/run.sh expects.
func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Printf("openbao: skipped: %s: %s\n", t.Name(), why)
	if os.Getenv("COMPAT_STRICT") == "1" {
		t.Fatal("COMPAT_STRICT=1 allows no part to be skipped")
	}
	t.SkipNow()
}

func salt() string {
	var bytes [6]byte
	_, _ = rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// folder is one that no other test and no earlier run has used; what is in it goes when the test ends.
func (s server) folder(t *testing.T) string {
	t.Helper()
	return s.folderIn(t, mount)
}

func (s server) folderIn(t *testing.T, mount string) string {
	t.Helper()
	folder := "openbao/" + salt()
	t.Cleanup(func() {
		left, err := s.KVv2(mount).Scan(s.ctx, folder)
		if err != nil || left == nil {
			return
		}
		for _, name := range left.Keys {
			_ = s.KVv2(mount).DeleteMetadata(s.ctx, folder+"/"+name)
		}
	})
	return folder
}

// freshMount is a mount of its own, so that its settings bear on nobody else's secrets.
func (s server) freshMount(t *testing.T) string {
	t.Helper()
	path := "openbao-" + salt()
	must(t, "mount", s.Sys().MountWithContext(s.ctx, path, &api.MountInput{Type: "kv-v2", Description: t.Name()}))
	t.Cleanup(func() {
		_, _ = s.Logical().DeleteWithDataWithContext(s.ctx, "sys/mounts/"+path, map[string][]string{"force": {"true"}})
	})
	return path
}

// configure writes some settings of a mount.
func (s server) configure(t *testing.T, mount string, settings object) {
	t.Helper()
	_, err := s.Logical().WriteWithContext(s.ctx, mount+"/config", settings)
	must(t, fmt.Sprintf("configure %s with %v", mount, settings), err)
}

func (s server) put(t *testing.T, mount, path string, data object, options ...api.KVOption) *api.KVSecret {
	t.Helper()
	made, err := s.KVv2(mount).Put(s.ctx, path, data, options...)
	must(t, "put "+path, err)
	return made
}

func (s server) get(t *testing.T, mount, path string) *api.KVSecret {
	t.Helper()
	got, err := s.KVv2(mount).Get(s.ctx, path)
	must(t, "get "+path, err)
	return got
}

func (s server) metadata(t *testing.T, mount, path string) *api.KVMetadata {
	t.Helper()
	got, err := s.KVv2(mount).GetMetadata(s.ctx, path)
	must(t, "metadata of "+path, err)
	return got
}

// read is Logical().Read where an answer is due.
func (s server) read(t *testing.T, path string) *api.Secret {
	t.Helper()
	got, err := s.Logical().ReadWithContext(s.ctx, path)
	must(t, "read "+path, err)
	if got == nil {
		t.Fatalf("read %s: nothing there", path)
	}
	return got
}

// raw is the answer as it came, status 404 and below 400 alike.
func (s server) raw(t *testing.T, path string, query map[string][]string) (*http.Response, object) {
	t.Helper()
	response, err := s.Logical().ReadRawWithDataWithContext(s.ctx, path, query)
	if response == nil {
		t.Fatalf("read %s: %v", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	var body object
	must(t, "decode "+path, response.DecodeJSON(&body))
	return response.Response, body
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

func holds(t *testing.T, what string, condition bool) {
	t.Helper()
	if !condition {
		t.Errorf("%s: does not hold", what)
	}
}

// fails checks that the server said no: the status, and the texts where they are given.
func fails(t *testing.T, what string, err error, status int, texts ...string) *api.ResponseError {
	t.Helper()
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		t.Fatalf("%s: got %v, want status %d", what, err, status)
	}
	same(t, what+": status", answer.StatusCode, status)
	if answer.RawError {
		t.Errorf("%s: the body is not Vault's error object: %v", what, answer.Errors)
	}
	if len(texts) > 0 {
		same(t, what+": errors", answer.Errors, texts)
	}
	return answer
}

// failsWith is fails where only a part of the text is settled.
func failsWith(t *testing.T, what string, err error, status int, part string) {
	t.Helper()
	if text := strings.Join(fails(t, what, err, status).Errors, "\n"); !strings.Contains(text, part) {
		t.Errorf("%s: errors %q lack %q", what, text, part)
	}
}

func isMissing(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, api.ErrSecretNotFound) {
		t.Errorf("%s: got %v, want ErrSecretNotFound", what, err)
	}
}

func isRecent(t *testing.T, what string, at time.Time) {
	t.Helper()
	if age := time.Since(at); age < 0 || age > time.Minute {
		t.Errorf("%s: %v is not within the last minute", what, at)
	}
}

// isNumber compares a number of a decoded answer, which the client leaves as text.
func isNumber(t *testing.T, what string, got any, want string) {
	t.Helper()
	same(t, what, got, any(json.Number(want)))
}

func keysOf[V any](values map[string]V) []string { return slices.Sorted(maps.Keys(values)) }

func at(t *testing.T, what string, value any, names ...string) object {
	t.Helper()
	for _, name := range names {
		inner, ok := value.(object)
		if !ok {
			t.Fatalf("%s: no object above %s: %v", what, name, value)
		}
		value = inner[name]
	}
	inner, ok := value.(object)
	if !ok {
		t.Fatalf("%s: no object at %s: %v", what, strings.Join(names, "."), value)
	}
	return inner
}
