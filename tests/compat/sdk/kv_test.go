package sdk

// The SDK's calls for the API that is compatible with KV version 2, which are those of `okms vault`.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ovh/okms-sdk-go"
	"github.com/ovh/okms-sdk-go/types"
)

const (
	codeArgument       = okms.ErrorCode(50405377)
	codeDomainNotFound = okms.ErrorCode(16994305)

	casMismatch = "check-and-set parameter did not match the current version"
	casRequired = "check-and-set parameter required for this call"

	active, deactivated, deleted = types.SecretV2StateActive, types.SecretV2StateDeactivated, types.SecretV2StateDeleted
)

var nanoseconds = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,8}[1-9])?Z$`)

type (
	states   = map[uint32]types.SecretV2State
	labels   = map[string]string
	settable = types.SecretUpdatableMetadata
)

// lastAnswer keeps what came last: the SDK tells of some calls only that they did not fail, and of a 404 not its data.
type lastAnswer struct {
	http.Transport
	status int
	kind   string
	body   []byte
}

func (a *lastAnswer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	a.status, a.kind = response.StatusCode, response.Header.Get("Content-Type")
	a.body, err = io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(a.body))
	return response, err
}

// A server whose last answer can be looked at.
type kv struct {
	server
	last *lastAnswer
}

func connectKv(t *testing.T) kv {
	t.Helper()
	s := connect(t, true)
	ca, err := os.ReadFile(env(t, "KMS_RESTAPI_CA"))
	must(t, "authority", err)
	pair, err := tls.LoadX509KeyPair(env(t, "KMS_RESTAPI_CERT"), env(t, "KMS_RESTAPI_KEY"))
	must(t, "access certificate", err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	last := &lastAnswer{}
	last.TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	t.Cleanup(last.CloseIdleConnections)
	s.Client, err = okms.NewRestAPIClientWithHttp(env(t, "KMS_RESTAPI_ENDPOINT"), &http.Client{Transport: last, Timeout: 20 * time.Second})
	must(t, "client", err)
	return kv{s, last}
}

// path is a fresh one, whose secret goes when the test ends.
func (s kv) path(t *testing.T, name string) string {
	t.Helper()
	path := freshPath(name)
	t.Cleanup(func() { _ = s.DeleteSecretMetadata(s.ctx, s.id, path) })
	return path
}

func errorOf[T any](_ T, err error) error { return err }

func keysOf[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// decoded is the body of the last answer.
func decoded[T any](t *testing.T, s kv) (body T) {
	t.Helper()
	must(t, "decode "+string(s.last.body), json.Unmarshal(s.last.body, &body))
	return body
}

func request(data object, cas ...uint32) types.PostSecretRequest {
	made := types.PostSecretRequest{Data: &data}
	for _, version := range cas {
		made.Options = &types.PostSecretOptions{Cas: &version}
	}
	return made
}

func (s kv) put(t *testing.T, path string, data object, cas ...uint32) *types.SecretVersionMetadata {
	t.Helper()
	made, err := s.PostSecretRequest(s.ctx, s.id, path, request(data, cas...))
	must(t, "put "+path, err)
	if made == nil || made.Data == nil {
		t.Fatalf("put %s: no data in the answer: %s", path, s.last.body)
	}
	return made.Data
}

// read reads a version, 0 for the current one.
func (s kv) read(t *testing.T, path string, version uint32) *types.SecretData {
	t.Helper()
	got, err := s.GetSecretRequest(s.ctx, s.id, path, &version)
	must(t, fmt.Sprintf("read version %d of %s", version, path), err)
	if got == nil || got.Data == nil {
		t.Fatalf("read %s: no data in the answer: %s", path, s.last.body)
	}
	return got.Data
}

func (s kv) metadata(t *testing.T, path string) *types.SecretMetadata {
	t.Helper()
	got, err := s.GetSecretsMetadata(s.ctx, s.id, path, false)
	must(t, "metadata of "+path, err)
	if got == nil || got.Data == nil || got.Data.Versions == nil {
		t.Fatalf("metadata of %s: no data or versions in the answer: %s", path, s.last.body)
	}
	return got.Data
}

// silent checks that a call had nothing to say.
func (s kv) silent(t *testing.T, what string, err error) {
	t.Helper()
	must(t, what, err)
	same(t, what+": status", s.last.status, http.StatusNoContent)
	same(t, what+": body", string(s.last.body), "")
}

func refused(t *testing.T, what string, err error, text string) {
	t.Helper()
	got := fails(t, what, err, http.StatusBadRequest, codeArgument)
	same(t, what+": text", errors.Join(got.Errors...).Error(), text)
}

// missing checks a 404, which has no text, as Vault's has none. Of a version that is there without its value it names the
// members of `data`: the SDK drops that, but other clients read it.
func (s kv) missing(t *testing.T, what string, err error, members ...string) {
	t.Helper()
	same(t, what+": status", okms.ErrStatusCode(err), http.StatusNotFound)
	same(t, what+": type", s.last.kind, "application/json")
	cause := okms.AsKmsError(err)
	if cause == nil {
		t.Fatalf("%s: want the service's error body, got %v", what, err)
	}
	same(t, what+": error_code", cause.ErrorCode, codeSecretNotFound)
	if len(cause.Errors) != 0 || cause.ErrorId == "" || cause.RequestId == "" {
		t.Errorf("%s: want both ids and no text: %+v", what, cause)
	}
	data, _ := decoded[object](t, s)["data"].(object)
	if !slices.Equal(keysOf(data), members) {
		t.Fatalf("%s: data has the members %v, want %v", what, keysOf(data), members)
	}
}

// gone reads a version that is deleted or destroyed.
func (s kv) gone(t *testing.T, path string, version uint32) *types.SecretVersionMetadata {
	t.Helper()
	_, err := s.GetSecretRequest(s.ctx, s.id, path, &version)
	s.missing(t, fmt.Sprintf("read version %d of %s", version, path), err, "data", "metadata")
	data := decoded[types.GetErrorResponseWithMetadata](t, s).Data
	same(t, "value of what is gone", data.Data, nil)
	return data.Metadata
}

func instant(t *testing.T, what string, got *string) time.Time {
	t.Helper()
	if got == nil || !nanoseconds.MatchString(*got) {
		t.Fatalf("%s: not a time like 2025-01-02T03:04:05.678Z: %s", what, fmt.Sprint(got))
	}
	at, err := time.Parse(time.RFC3339Nano, *got)
	must(t, what, err)
	return at
}

func isRecent(t *testing.T, what string, got *string) {
	t.Helper()
	if age := time.Since(instant(t, what, got)).Abs(); age > 2*time.Minute {
		t.Errorf("%s: %s is not now", what, *got)
	}
}

// describes checks all five members that tell of a version; a destroyed one was live before.
func describes(t *testing.T, what string, got *types.SecretVersionMetadata, version uint32, state types.SecretV2State, custom labels) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s: nothing is told of the version", what)
	}
	is(t, what+": version", got.Version, version)
	is(t, what+": destroyed", got.Destroyed, state == deleted)
	isRecent(t, what+": created_time", got.CreatedTime)
	if state == deactivated {
		isRecent(t, what+": deletion_time", got.DeletionTime)
	} else {
		is(t, what+": deletion_time", got.DeletionTime, "")
	}
	if custom != nil {
		is(t, what+": custom_metadata", got.CustomMetadata, custom)
	} else {
		same(t, what+": custom_metadata", got.CustomMetadata, nil)
	}
}

// agree checks that both dialects tell these states: v1 in its metadata and by what it lets read, v2 in its list.
func (s kv) agree(t *testing.T, what, path string, want states) {
	t.Helper()
	told, listed := states{}, states{}
	for name, version := range *s.metadata(t, path).Versions {
		var number uint32
		_, err := fmt.Sscan(name, &number)
		must(t, what+": number "+name, err)
		told[number] = active
		if version.Destroyed == nil || version.DeletionTime == nil {
			t.Errorf("%s: version %d in the metadata lacks a member", what, number)
		} else if *version.Destroyed {
			told[number] = deleted
		} else if *version.DeletionTime != "" && time.Now().After(instant(t, what, version.DeletionTime)) {
			told[number] = deactivated
		}
		_, err = s.GetSecretRequest(s.ctx, s.id, path, &number)
		same(t, fmt.Sprintf("%s: version %d can be read", what, number), err == nil, want[number] == active)
	}
	page, err := s.ListSecretVersionV2(s.ctx, s.id, path, nil, nil)
	must(t, what+": list versions", err)
	for _, version := range page.ListSecretVersionV2Response {
		listed[version.Id] = version.State
	}
	same(t, what+": v1", told, want)
	same(t, what+": v2", listed, want)
}

// kvCalls is every call of the dialect on a secret, and on the config, of which it writes nothing.
func (s server) kvCalls(id uuid.UUID, path string) map[string]func() error {
	data, one := request(object{"k": "v"}), []uint32{1}
	return map[string]func() error{
		"config":         func() error { return errorOf(s.GetSecretConfig(s.ctx, id)) },
		"set config":     func() error { return s.PostSecretConfig(s.ctx, id, types.PostConfigRequest{}) },
		"get":            func() error { return errorOf(s.GetSecretRequest(s.ctx, id, path, nil)) },
		"put":            func() error { return errorOf(s.PostSecretRequest(s.ctx, id, path, data)) },
		"patch":          func() error { return errorOf(s.PatchSecretRequest(s.ctx, id, path, data)) },
		"delete":         func() error { return s.DeleteSecretRequest(s.ctx, id, path) },
		"delete some":    func() error { return s.DeleteSecretVersions(s.ctx, id, path, one) },
		"undelete":       func() error { return s.PostSecretUndelete(s.ctx, id, path, one) },
		"destroy":        func() error { return s.PutSecretDestroy(s.ctx, id, path, one) },
		"subkeys":        func() error { return errorOf(s.GetSecretSubkeys(s.ctx, id, path, nil, nil)) },
		"metadata":       func() error { return errorOf(s.GetSecretsMetadata(s.ctx, id, path, false)) },
		"list":           func() error { return errorOf(s.GetSecretsMetadata(s.ctx, id, path, true)) },
		"put metadata":   func() error { return s.PostSecretMetadata(s.ctx, id, path, settable{CasRequired: ptr(true)}) },
		"patch metadata": func() error { return s.PatchSecretMetadata(s.ctx, id, path, settable{CasRequired: ptr(true)}) },
		"delete all":     func() error { return s.DeleteSecretMetadata(s.ctx, id, path) },
	}
}

func TestKvAbsent(t *testing.T) {
	s := connectKv(t)
	path := s.path(t, "absent")
	calls := s.kvCalls(s.id, path)
	for _, name := range []string{"get", "patch", "subkeys", "metadata", "list", "patch metadata"} {
		s.missing(t, name, calls[name]())
	}
	for _, name := range []string{"delete", "delete some", "undelete", "destroy", "delete all"} {
		s.silent(t, name, calls[name]())
	}
	// Nor does this make it: there is nothing to set.
	s.silent(t, "put no metadata", s.PostSecretMetadata(s.ctx, s.id, path, settable{}))
	s.missing(t, "metadata after all that", calls["metadata"]())
}

func TestKvStrangers(t *testing.T) {
	for name, call := range connect(t, true).kvCalls(uuid.New(), freshPath("stranger")) {
		fails(t, name+" in another domain", call(), http.StatusForbidden, codeDomainNotFound)
	}
	s := connect(t, false)
	for name, call := range s.kvCalls(s.id, freshPath("nobody")) {
		fails(t, name+" without a certificate", call(), http.StatusUnauthorized, codeAuthentication)
	}
}

func TestKvLifecycle(t *testing.T) {
	s := connectKv(t)
	path := s.path(t, "lifecycle")
	one, two := object{"user": "app", "password": "one"}, object{"user": "app", "password": "two"}
	describes(t, "first put", s.put(t, path, one), 1, active, nil)
	same(t, "members of the answer", keysOf(decoded[map[string]any](t, s)["data"].(object)),
		[]string{"created_time", "custom_metadata", "deletion_time", "destroyed", "version"})
	describes(t, "second put", s.put(t, path, two), 2, active, nil)
	current, err := s.GetSecretRequest(s.ctx, s.id, path, nil)
	must(t, "read without a version", err)
	same(t, "value without a version", current.Data.Data, any(two))
	for version, want := range map[uint32]object{0: two, 1: one, 2: two} {
		got := s.read(t, path, version)
		same(t, fmt.Sprintf("value of version %d", version), got.Data, any(want))
		number := version
		if version == 0 {
			number = 2
		}
		describes(t, fmt.Sprintf("version %d", version), got.Metadata, number, active, nil)
	}
	s.missing(t, "a version that never was", errorOf(s.GetSecretRequest(s.ctx, s.id, path, ptr(uint32(3)))))

	// The latest version, or those that are named; what is not there is passed over.
	s.silent(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, path))
	first := s.gone(t, path, 0)
	describes(t, "deleted", first, 2, deactivated, nil)
	s.silent(t, "delete again", s.DeleteSecretRequest(s.ctx, s.id, path))
	same(t, "the first deletion_time stays", s.gone(t, path, 2), first)
	s.agree(t, "delete", path, states{1: active, 2: deactivated})
	s.silent(t, "delete some", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1, 9}))
	s.agree(t, "delete some", path, states{1: deactivated, 2: deactivated})
	s.silent(t, "undelete", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{2, 9}))
	s.agree(t, "undelete", path, states{1: deactivated, 2: active})
	restored := s.read(t, path, 0)
	same(t, "value after undelete", restored.Data, any(two))
	describes(t, "restored", restored.Metadata, 2, active, nil)

	// What is destroyed stays so, and keeps what was said of its deletion.
	s.silent(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{1, 2, 9}))
	s.silent(t, "undelete what is destroyed", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{1, 2}))
	s.silent(t, "delete what is destroyed", s.DeleteSecretRequest(s.ctx, s.id, path))
	s.agree(t, "destroy", path, states{1: deleted, 2: deleted})
	describes(t, "destroyed", s.gone(t, path, 2), 2, deleted, nil)
	isRecent(t, "deletion_time of what was deleted and destroyed", s.gone(t, path, 1).DeletionTime)
	for name, call := range map[string]func([]uint32) error{
		"No version number provided delete":   func(none []uint32) error { return s.DeleteSecretVersions(s.ctx, s.id, path, none) },
		"No version number provided undelete": func(none []uint32) error { return s.PostSecretUndelete(s.ctx, s.id, path, none) },
		"no version number provided destroy":  func(none []uint32) error { return s.PutSecretDestroy(s.ctx, s.id, path, none) },
	} {
		refused(t, name, call([]uint32{}), name[:len("no version number provided")])
	}

	describes(t, "put over what is destroyed", s.put(t, path, one), 3, active, nil)
	s.agree(t, "put over it", path, states{1: deleted, 2: deleted, 3: active})
	s.silent(t, "delete all", s.DeleteSecretMetadata(s.ctx, s.id, path))
	s.missing(t, "read after that", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	s.missing(t, "metadata after that", errorOf(s.GetSecretsMetadata(s.ctx, s.id, path, false)))
	describes(t, "it begins anew", s.put(t, path, one, 0), 1, active, nil)
}
