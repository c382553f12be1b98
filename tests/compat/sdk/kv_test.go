package sdk

// The calls of the SDK for the API that is compatible with KV version 2, which are those of `okms vault`.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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
	noData      = "no data provided"

	active, deactivated, deleted = types.SecretV2StateActive, types.SecretV2StateDeactivated, types.SecretV2StateDeleted
)

var nanoseconds = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,8}[1-9])?Z$`)

type (
	states   = map[uint32]types.SecretV2State
	labels   = map[string]string
	settable = types.SecretUpdatableMetadata
)

// lastAnswer keeps what came last. The SDK tells of some calls only that they did not fail, and of a 404 not its data.
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
	last := &lastAnswer{Transport: http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
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

func request(data object, cas *uint32) types.PostSecretRequest {
	made := types.PostSecretRequest{Data: &data}
	if cas != nil {
		made.Options = &types.PostSecretOptions{Cas: cas}
	}
	return made
}

// decoded is the body of the last answer.
func decoded[T any](t *testing.T, s kv) (body T) {
	t.Helper()
	must(t, "decode "+string(s.last.body), json.Unmarshal(s.last.body, &body))
	return body
}

func keysOf[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

func (s kv) put(t *testing.T, path string, data object, cas *uint32) *types.SecretVersionMetadata {
	t.Helper()
	made, err := s.PostSecretRequest(s.ctx, s.id, path, request(data, cas))
	must(t, "put "+path, err)
	if made == nil || made.Data == nil {
		t.Fatalf("put %s: no data in the answer: %s", path, s.last.body)
	}
	return made.Data
}

func (s kv) read(t *testing.T, path string, version *uint32) *types.SecretData {
	t.Helper()
	got, err := s.GetSecretRequest(s.ctx, s.id, path, version)
	must(t, "read "+path, err)
	if got == nil || got.Data == nil || got.Data.Metadata == nil {
		t.Fatalf("read %s: no data or metadata in the answer: %s", path, s.last.body)
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

// refused checks a 400 with this one text.
func refused(t *testing.T, what string, err error, text string) {
	t.Helper()
	same(t, what, fails(t, what, err, http.StatusBadRequest, codeArgument).Errors, []error{errors.New(text)})
}

// notFound checks a 404, which has no text, as Vault's has none. With members, a version is there without its value, and
// they are those of `data`: the SDK drops it, but it is in its schema, and other clients read it.
func (s kv) notFound(t *testing.T, what string, err error, members ...string) types.SecretDataSubkeys {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: succeeded, want status 404", what)
	}
	same(t, what+": status", okms.ErrStatusCode(err), http.StatusNotFound)
	same(t, what+": type", s.last.kind, "application/json")
	cause := okms.AsKmsError(err)
	if cause == nil {
		t.Fatalf("%s: the error body is not the service's JSON: %v", what, err)
	}
	same(t, what+": error_code", cause.ErrorCode, codeSecretNotFound)
	if len(cause.Errors) != 0 || cause.ErrorId == "" || cause.RequestId == "" {
		t.Errorf("%s: want both ids and no text: %+v", what, cause)
	}
	body := decoded[object](t, s)
	if len(members) == 0 {
		same(t, what+": members", keysOf(body), []string{"error_code", "error_id", "errors", "request_id"})
		return nil
	}
	data, _ := body["data"].(object)
	same(t, what+": members of data", keysOf(data), members)
	return data
}

func instant(t *testing.T, what string, got *string) time.Time {
	t.Helper()
	if got == nil || !nanoseconds.MatchString(*got) {
		t.Fatalf("%s: want a time like 2025-01-02T03:04:05.678Z, got %v", what, got)
	}
	at, err := time.Parse(time.RFC3339Nano, *got)
	must(t, what, err)
	return at
}

func isRecent(t *testing.T, what string, got *string) {
	t.Helper()
	if age := time.Since(instant(t, what, got)); age < -time.Minute || age > 2*time.Minute {
		t.Errorf("%s: %s is not now", what, *got)
	}
}

// describes checks all five members that tell of a version. A deleted one is thought to have been active before.
func describes(t *testing.T, what string, got *types.SecretVersionMetadata, version uint32, state types.SecretV2State, custom labels) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s: no metadata of a version", what)
	}
	is(t, what+": version", got.Version, version)
	is(t, what+": destroyed", got.Destroyed, state == deleted)
	isRecent(t, what+": created_time", got.CreatedTime)
	if state == deactivated {
		isRecent(t, what+": deletion_time", got.DeletionTime)
	} else {
		is(t, what+": deletion_time", got.DeletionTime, "")
	}
	if custom == nil {
		same(t, what+": custom_metadata", got.CustomMetadata, nil)
	} else {
		is(t, what+": custom_metadata", got.CustomMetadata, custom)
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
		switch {
		case version.Destroyed == nil || version.DeletionTime == nil:
			t.Errorf("%s: version %d in the metadata lacks destroyed or deletion_time", what, number)
		case *version.Destroyed:
			told[number] = deleted
		case *version.DeletionTime != "" && time.Now().After(instant(t, what, version.DeletionTime)):
			told[number] = deactivated
		default:
			told[number] = active
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

// kvCalls is every call of the dialect; those that write settings name none.
func (s server) kvCalls(id uuid.UUID, path string) map[string]func() error {
	data, one := request(object{"k": "v"}, nil), []uint32{1}
	return map[string]func() error{
		"GET config":      func() error { return errorOf(s.GetSecretConfig(s.ctx, id)) },
		"POST config":     func() error { return s.PostSecretConfig(s.ctx, id, types.PostConfigRequest{}) },
		"GET data":        func() error { return errorOf(s.GetSecretRequest(s.ctx, id, path, nil)) },
		"GET version":     func() error { return errorOf(s.GetSecretRequest(s.ctx, id, path, ptr(uint32(1)))) },
		"POST data":       func() error { return errorOf(s.PostSecretRequest(s.ctx, id, path, data)) },
		"PATCH data":      func() error { return errorOf(s.PatchSecretRequest(s.ctx, id, path, data)) },
		"DELETE data":     func() error { return s.DeleteSecretRequest(s.ctx, id, path) },
		"POST delete":     func() error { return s.DeleteSecretVersions(s.ctx, id, path, one) },
		"POST undelete":   func() error { return s.PostSecretUndelete(s.ctx, id, path, one) },
		"PUT destroy":     func() error { return s.PutSecretDestroy(s.ctx, id, path, one) },
		"GET subkeys":     func() error { return errorOf(s.GetSecretSubkeys(s.ctx, id, path, nil, nil)) },
		"GET metadata":    func() error { return errorOf(s.GetSecretsMetadata(s.ctx, id, path, false)) },
		"LIST metadata":   func() error { return errorOf(s.GetSecretsMetadata(s.ctx, id, path, true)) },
		"POST metadata":   func() error { return s.PostSecretMetadata(s.ctx, id, path, settable{}) },
		"PATCH metadata":  func() error { return s.PatchSecretMetadata(s.ctx, id, path, settable{CasRequired: ptr(true)}) },
		"DELETE metadata": func() error { return s.DeleteSecretMetadata(s.ctx, id, path) },
	}
}

func TestKvLifecycle(t *testing.T) {
	s := connectKv(t)
	path := s.path(t, "lifecycle")

	made := s.put(t, path, object{"user": "app", "password": "one"}, ptr(uint32(0)))
	describes(t, "put", made, 1, active, nil)
	same(t, "members of the answer", keysOf(decoded[map[string]object](t, s)["data"]),
		[]string{"created_time", "custom_metadata", "deletion_time", "destroyed", "version"})
}
