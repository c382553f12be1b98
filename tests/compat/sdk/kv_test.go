package sdk

// The SDK's calls for the API that is compatible with KV version 2, which are those of `okms vault`.
// Of a 404 the SDK drops the data, so what is deleted and what is destroyed is seen in the metadata.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// kvPath is a fresh path, whose secret goes when the test ends.
func (s server) kvPath(t *testing.T, name string) string {
	t.Helper()
	path := freshPath(name)
	t.Cleanup(func() { _ = s.DeleteSecretMetadata(s.ctx, s.id, path) })
	return path
}

func errorOf[T any](_ T, err error) error { return err }

// text is how a value is compared that is full of pointers.
func text(value any) string {
	out, _ := json.Marshal(value)
	return string(out)
}

func request(data object, cas ...uint32) types.PostSecretRequest {
	made := types.PostSecretRequest{Data: &data}
	for _, version := range cas {
		made.Options = &types.PostSecretOptions{Cas: &version}
	}
	return made
}

func (s server) put(t *testing.T, path string, data object, cas ...uint32) *types.SecretVersionMetadata {
	t.Helper()
	made, err := s.PostSecretRequest(s.ctx, s.id, path, request(data, cas...))
	must(t, "put "+path, err)
	if made == nil || made.Data == nil {
		t.Fatalf("put %s: no data in the answer: %+v", path, made)
	}
	return made.Data
}

// read reads a version, 0 for the current one.
func (s server) read(t *testing.T, path string, version uint32) *types.SecretData {
	t.Helper()
	got, err := s.GetSecretRequest(s.ctx, s.id, path, &version)
	must(t, fmt.Sprintf("read version %d of %s", version, path), err)
	if got == nil || got.Data == nil || got.Data.Metadata == nil {
		t.Fatalf("read %s: no data or metadata in the answer: %+v", path, got)
	}
	return got.Data
}

func (s server) metadata(t *testing.T, path string) *types.SecretMetadata {
	t.Helper()
	got, err := s.GetSecretsMetadata(s.ctx, s.id, path, false)
	must(t, "metadata of "+path, err)
	if got == nil || got.Data == nil || got.Data.Versions == nil {
		t.Fatalf("metadata of %s: no data or versions in the answer: %s", path, text(got))
	}
	return got.Data
}

// summary is what metadata says but for times and versions.
func summary(m *types.SecretMetadata) string {
	return text([]any{m.CurrentVersion, m.OldestVersion, m.CasRequired, m.MaxVersions, m.DeleteVersionAfter, m.CustomMetadata})
}

func refused(t *testing.T, what string, err error, why string) {
	t.Helper()
	got := fails(t, what, err, http.StatusBadRequest, codeArgument)
	same(t, what+": text", errors.Join(got.Errors...).Error(), why)
}

// missing checks a 404 for a secret or a version, which has no text, as Vault's has none.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	cause := okms.AsKmsError(err)
	if cause == nil {
		t.Fatalf("%s: want the service's error body, got %v", what, err)
	}
	same(t, what+": status", okms.ErrStatusCode(err), http.StatusNotFound)
	same(t, what+": error_code", cause.ErrorCode, codeSecretNotFound)
	same(t, what+": no text, and both ids", len(cause.Errors) == 0 && cause.ErrorId != "" && cause.RequestId != "", true)
}

func instant(t *testing.T, what string, got *string) time.Time {
	t.Helper()
	if got == nil || !nanoseconds.MatchString(*got) {
		t.Fatalf("%s: not a time like 2025-01-02T03:04:05.678Z: %s", what, text(got))
	}
	at, err := time.Parse(time.RFC3339Nano, *got)
	must(t, what, err)
	return at
}

func life(t *testing.T, version *types.SecretVersionMetadata) time.Duration {
	t.Helper()
	return instant(t, "deletion_time", version.DeletionTime).Sub(instant(t, "created_time", version.CreatedTime))
}

// describes checks all five members that tell of a live version; custom are the members of its custom_metadata.
func describes(t *testing.T, what string, got *types.SecretVersionMetadata, version uint32, custom string) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s: nothing is told of the version", what)
	}
	if age := time.Since(instant(t, what, got.CreatedTime)).Abs(); age > 2*time.Minute {
		t.Errorf("%s: created_time %s is not now", what, *got.CreatedTime)
	}
	rest := *got
	rest.CreatedTime = nil
	if custom != "" {
		custom = `"custom_metadata":{` + custom + `},`
	}
	same(t, what, text(rest), fmt.Sprintf(`{%s"deletion_time":"","destroyed":false,"version":%d}`, custom, version))
}

// agree checks that both dialects tell these states: v1 in its metadata and by what it lets read, v2 in its list.
func (s server) agree(t *testing.T, what, path string, want states) {
	t.Helper()
	page, err := s.ListSecretVersionV2(s.ctx, s.id, path, nil, nil)
	must(t, what+": list versions", err)
	listed, told := states{}, *s.metadata(t, path).Versions
	for _, version := range page.ListSecretVersionV2Response {
		listed[version.Id] = version.State
	}
	same(t, what+": v2", listed, want)
	same(t, what+": how many versions v1 tells", len(told), len(want))
	for number, state := range want {
		what := fmt.Sprintf("%s: version %d, by v1", what, number)
		version, err := told[fmt.Sprint(number)], errorOf(s.GetSecretRequest(s.ctx, s.id, path, &number))
		is(t, what+": destroyed", version.Destroyed, state == deleted)
		if at := version.DeletionTime; state != deleted {
			isOver := at == nil || *at != "" && time.Now().After(instant(t, what, at))
			same(t, what+": its deletion_time is over", isOver, state == deactivated)
		}
		if state == active {
			must(t, what, err)
		} else {
			missing(t, what, err)
		}
	}
}

// kvCalls is every call of the dialect, on a secret and on the config, of which it writes nothing.
func (s server) kvCalls(id uuid.UUID, path string) map[string]func() error {
	data, one, cas := request(object{"k": "v"}), []uint32{1}, settable{CasRequired: ptr(true)}
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
		"put metadata":   func() error { return s.PostSecretMetadata(s.ctx, id, path, cas) },
		"patch metadata": func() error { return s.PatchSecretMetadata(s.ctx, id, path, cas) },
		"delete all":     func() error { return s.DeleteSecretMetadata(s.ctx, id, path) },
	}
}

func TestKvAbsent(t *testing.T) {
	s := connect(t, true)
	path := s.kvPath(t, "absent")
	calls := s.kvCalls(s.id, path)
	for _, name := range []string{"delete", "delete some", "undelete", "destroy", "delete all"} {
		must(t, name, calls[name]())
	}
	must(t, "put no metadata, which makes nothing", s.PostSecretMetadata(s.ctx, s.id, path, settable{}))
	for _, name := range []string{"get", "patch", "subkeys", "metadata", "list", "patch metadata"} {
		missing(t, name, calls[name]())
	}
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
	s := connect(t, true)
	path := s.kvPath(t, "lifecycle")
	one, two := object{"user": "app", "password": "one"}, object{"user": "app", "password": "two"}
	describes(t, "first put", s.put(t, path, one), 1, "")
	describes(t, "second put", s.put(t, path, two), 2, "")
	for version, want := range map[uint32]object{0: two, 1: one, 2: two} {
		same(t, fmt.Sprintf("value of version %d", version), s.read(t, path, version).Data, any(want))
	}
	describes(t, "read", s.read(t, path, 0).Metadata, 2, "")
	describes(t, "read an old one", s.read(t, path, 1).Metadata, 1, "")
	missing(t, "a version that never was", errorOf(s.GetSecretRequest(s.ctx, s.id, path, ptr(uint32(3)))))

	// The latest version, or those that are named; what is not there is passed over.
	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, path))
	s.agree(t, "delete", path, states{1: active, 2: deactivated})
	missing(t, "read the current one", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	before := s.metadata(t, path)
	must(t, "delete again", s.DeleteSecretRequest(s.ctx, s.id, path))
	same(t, "the first deletion_time stays", s.metadata(t, path), before)
	must(t, "delete some", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1, 9}))
	s.agree(t, "delete some", path, states{1: deactivated, 2: deactivated})
	must(t, "undelete", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{2, 9}))
	s.agree(t, "undelete", path, states{1: deactivated, 2: active})
	same(t, "value after undelete", s.read(t, path, 0).Data, any(two))
	describes(t, "restored", s.read(t, path, 0).Metadata, 2, "")

	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{1, 2, 9}))
	must(t, "undelete what is destroyed", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{1, 2}))
	must(t, "delete what is destroyed", s.DeleteSecretRequest(s.ctx, s.id, path))
	s.agree(t, "destroy", path, states{1: deleted, 2: deleted})
	versions := *s.metadata(t, path).Versions
	same(t, "destroyed after it was deleted", *versions["1"].DeletionTime != "", true)
	is(t, "destroyed before it was deleted", versions["2"].DeletionTime, "")
	refused(t, "delete none", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{}), "No version number provided")
	refused(t, "undelete none", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{}), "No version number provided")
	refused(t, "destroy none", s.PutSecretDestroy(s.ctx, s.id, path, nil), "no version number provided")

	describes(t, "put over what is destroyed", s.put(t, path, one), 3, "")
	s.agree(t, "put over it", path, states{1: deleted, 2: deleted, 3: active})
	must(t, "delete all", s.DeleteSecretMetadata(s.ctx, s.id, path))
	missing(t, "read after that", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	describes(t, "it begins anew", s.put(t, path, one, 0), 1, "")
}

func TestKvCasAndPatch(t *testing.T) {
	s := connect(t, true)
	path := s.kvPath(t, "cas")
	put := func(body types.PostSecretRequest) error { return errorOf(s.PostSecretRequest(s.ctx, s.id, path, body)) }
	patch := func(body types.PostSecretRequest) error {
		return errorOf(s.PatchSecretRequest(s.ctx, s.id, path, body))
	}
	bothRefused := func(what, why string, cas ...uint32) {
		t.Helper()
		refused(t, what+": put", put(request(object{"n": "refused"}, cas...)), why)
		refused(t, what+": patch", patch(request(object{"n": "refused"}, cas...)), why)
	}
	must(t, "demand cas", s.PostSecretMetadata(s.ctx, s.id, path, settable{CasRequired: ptr(true), CustomMetadata: &labels{"k": "v"}}))
	bothRefused("no cas where nothing is", casRequired)
	bothRefused("cas 1 where nothing is", casMismatch, 1)
	missing(t, "patch of metadata alone", patch(request(object{}, 0)))
	describes(t, "cas 0", s.put(t, path, object{"text": "a", "deep": object{"x": "1", "y": "2"}, "list": []any{"a", "b"}}, 0), 1, `"k":"v"`)
	bothRefused("no cas", casRequired)
	bothRefused("cas 0 again", casMismatch, 0)
	bothRefused("cas too high", casMismatch, 2)

	// The SDK sends a patch as application/json.
	patched, err := s.PatchSecretRequest(s.ctx, s.id, path, request(object{"text": nil, "deep": object{"y": nil, "z": 3}, "list": []any{"c"}}, 1))
	must(t, "patch", err)
	describes(t, "patch", patched.Data, 2, `"k":"v"`)
	same(t, "patched", text(s.read(t, path, 0).Data), `{"deep":{"x":"1","z":3},"list":["c"]}`)
	bothRefused("cas too low", casMismatch, 1)
	must(t, "patch with nothing", patch(request(object{}, 2)))
	same(t, "patched with nothing", text(s.read(t, path, 3).Data), `{"deep":{"x":"1","z":3},"list":["c"]}`)
	for _, body := range []types.PostSecretRequest{request(nil, 3), {Options: &types.PostSecretOptions{Cas: ptr(uint32(3))}}} {
		refused(t, "put without data", put(body), "no data provided")
		refused(t, "patch without data", patch(body), "no data provided")
	}

	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, path))
	bothRefused("no cas over a deleted version", casRequired)
	bothRefused("cas 0 over a deleted version", casMismatch, 0)
	missing(t, "patch of a deleted version", patch(request(object{}, 3)))
	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{3}))
	missing(t, "patch of a destroyed version", patch(request(object{}, 3)))
	must(t, "demand none", s.PatchSecretMetadata(s.ctx, s.id, path, settable{CasRequired: ptr(false)}))
	bothRefused("a wrong cas that was not asked for", casMismatch, 9)
	describes(t, "no cas", s.put(t, path, object{}), 4, `"k":"v"`)
}

func TestKvSubkeys(t *testing.T) {
	s := connect(t, true)
	path := s.kvPath(t, "subkeys")
	s.put(t, path, object{"a": object{"b": object{"c": "1"}, "none": object{}}, "list": []any{object{"x": "1"}}})
	s.put(t, path, object{})
	current, err := s.GetSecretSubkeys(s.ctx, s.id, path, nil, nil)
	must(t, "current", err)
	same(t, "current", text(current.Data.Subkeys), `{}`)
	const full = `{"a":{"b":{"c":null},"none":null},"list":null}`
	// By depth, version, and the version that is told.
	for asked, want := range map[[3]uint32]string{
		{0, 0, 2}: `{}`, {1, 2, 2}: `{}`, {0, 1, 1}: full, {3, 1, 1}: full,
		{1, 1, 1}: `{"a":null,"list":null}`, {2, 1, 1}: `{"a":{"b":null,"none":null},"list":null}`,
	} {
		what := fmt.Sprintf("depth %d, version %d", asked[0], asked[1])
		got, err := s.GetSecretSubkeys(s.ctx, s.id, path, &asked[0], &asked[1])
		must(t, what, err)
		same(t, what, text(got.Data.Subkeys), want)
		describes(t, what, got.Data.Metadata, asked[2], "")
	}
	must(t, "delete", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1}))
	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{2}))
	for _, version := range []uint32{0, 1, 2, 3} {
		_, err := s.GetSecretSubkeys(s.ctx, s.id, path, nil, &version)
		missing(t, fmt.Sprintf("version %d, which is deleted, destroyed or never was", version), err)
	}
}

func TestKvMetadata(t *testing.T) {
	s := connect(t, true)
	path := s.kvPath(t, "metadata")
	put := func(body settable) error { return s.PostSecretMetadata(s.ctx, s.id, path, body) }
	patch := func(body settable) error { return s.PatchSecretMetadata(s.ctx, s.id, path, body) }
	says := func(what, want string) { t.Helper(); same(t, what, summary(s.metadata(t, path)), want) }
	must(t, "create", put(settable{CasRequired: ptr(true), DeleteVersionAfter: ptr("1d"), MaxVersions: ptr(uint32(2)), CustomMetadata: &labels{"a": "1", "b": "2"}}))
	says("created", `[0,0,true,2,"24h0m0s",{"a":"1","b":"2"}]`)
	same(t, "no versions", len(*s.metadata(t, path).Versions), 0)
	missing(t, "read of metadata alone", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))

	// okms-cli names custom_metadata every time: empty, a put clears it, and a patch leaves it alone.
	must(t, "patch", patch(settable{CasRequired: ptr(false), CustomMetadata: &labels{"b": "3", "c": "4"}}))
	must(t, "patch with nothing", patch(settable{CustomMetadata: &labels{}}))
	says("merged", `[0,0,false,2,"24h0m0s",{"a":"1","b":"3","c":"4"}]`)
	must(t, "replace", put(settable{CustomMetadata: &labels{"d": "5"}}))
	says("replaced", `[0,0,false,2,"24h0m0s",{"d":"5"}]`)
	must(t, "clear", put(settable{CustomMetadata: &labels{}, DeleteVersionAfter: ptr("90m")}))
	says("cleared", `[0,0,false,2,"1h30m0s",null]`)

	same(t, "life of a version", life(t, s.put(t, path, object{})), 90*time.Minute)
	s.agree(t, "a deletion to come", path, states{1: active})
	must(t, "no more", patch(settable{DeleteVersionAfter: ptr("0s")}))
	describes(t, "without a life span", s.put(t, path, object{}), 2, "")
	s.put(t, path, object{})
	says("three versions", `[3,2,false,2,"0s",null]`)
	s.agree(t, "the first one is pruned", path, states{2: active, 3: active})
	missing(t, "read what is pruned", errorOf(s.GetSecretRequest(s.ctx, s.id, path, ptr(uint32(1)))))
	before := s.metadata(t, path)
	must(t, "patch", patch(settable{CustomMetadata: &labels{"late": "1"}}))
	is(t, "updated_time is the newest version's", s.metadata(t, path).UpdatedTime, *(*before.Versions)["3"].CreatedTime)

	for why, body := range map[string]settable{
		`Field validation failed: error converting input for field "delete_version_after": cannot provide negative value '-1'`:               {DeleteVersionAfter: ptr("-1s")},
		"1 error occurred:\n\t* custom_metadata validation failed: length of value for key \"k\" is 0 but must be 0 < len(value) <= 512\n\n": {CustomMetadata: &labels{"k": ""}},
	} {
		refused(t, "put", put(body), why)
		refused(t, "patch", patch(body), why)
	}
	fails(t, "too many versions", put(settable{MaxVersions: ptr(uint32(24001))}), http.StatusBadRequest, codeArgument)
	says("after refusals", `[3,2,false,2,"0s",{"late":"1"}]`)
}

func TestKvList(t *testing.T) {
	s := connect(t, true)
	base := freshPath("list")
	for _, name := range []string{"/b", "/a", "/a/deep/leaf", "/é \"x\"", "/gone"} {
		t.Cleanup(func() { _ = s.DeleteSecretMetadata(s.ctx, s.id, base+name) })
		s.put(t, base+name, object{"name": name})
		same(t, "read "+name, s.read(t, base+name, 0).Data, any(object{"name": name}))
	}
	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, base+"/gone"))
	for below, want := range map[string]string{
		"": `{"keys":["a","a/","b","gone","é \"x\""]}`, "/a/": `{"keys":["deep/"]}`, "/a": `{"keys":["deep/"]}`, "/a/deep": `{"keys":["leaf"]}`,
	} {
		got, err := s.GetSecretsMetadata(s.ctx, s.id, base+below, true)
		must(t, "list "+below, err)
		same(t, "list "+below, text(got.Data), want)
	}
	missing(t, "list a leaf", errorOf(s.GetSecretsMetadata(s.ctx, s.id, base+"/b", true)))
	root, err := s.GetSecretsMetadata(s.ctx, s.id, "", true)
	must(t, "list the root", err)
	same(t, "the root holds our folder", slices.Contains(*root.Data.Keys, "sdk/"), true)
	refused(t, "put to a folder", errorOf(s.PostSecretRequest(s.ctx, s.id, base+"/", request(object{}))), "cannot write to a path ending in '/'")
	refused(t, "read what is relative", errorOf(s.GetSecretRequest(s.ctx, s.id, base+"/../x", nil)), "relative paths not supported")
}

// The domain's defaults. Not in parallel with anything: they bear on every secret of the domain.
func TestKvConfig(t *testing.T) {
	s := connect(t, true)
	says := func() string {
		mine, err := s.GetSecretConfig(s.ctx, s.id)
		must(t, "read", err)
		theirs, err := s.GetSecretConfigV2(s.ctx, s.id)
		must(t, "read by v2", err)
		return text([]any{mine.Data, theirs})
	}
	found := says()
	before, err := s.GetSecretConfigV2(s.ctx, s.id)
	must(t, "read what is to be restored", err)
	t.Cleanup(func() {
		// Only v2 tells a duration as it was typed.
		_, err := s.PutSecretConfigV2(s.ctx, s.id, types.PutSecretConfigV2Request(*before))
		must(t, "restore the config", err)
		same(t, "restored", says(), found)
	})
	set := func(body types.PostConfigRequest) error { return s.PostSecretConfig(s.ctx, s.id, body) }

	must(t, "set all", set(types.PostConfigRequest{CasRequired: ptr(true), DeleteVersionAfter: ptr("1d"), MaxVersions: ptr(uint32(3))}))
	must(t, "set nothing", set(types.PostConfigRequest{}))
	same(t, "all three", says(), `[{"cas_required":true,"delete_version_after":"24h0m0s","max_versions":3},{"casRequired":true,"deactivateVersionAfter":"1d","maxVersions":3}]`)
	path := s.kvPath(t, "config")
	must(t, "demand less than the domain", s.PostSecretMetadata(s.ctx, s.id, path, settable{CasRequired: ptr(false)}))
	refused(t, "put without the domain's cas", errorOf(s.PostSecretRequest(s.ctx, s.id, path, request(object{}))), casRequired)
	same(t, "the domain's life span", life(t, s.put(t, path, object{}, 0)), 24*time.Hour)
	must(t, "set one", set(types.PostConfigRequest{CasRequired: ptr(false)}))
	_, err = s.PutSecretConfigV2(s.ctx, s.id, types.PutSecretConfigV2Request{DeactivateVersionAfter: ptr("90m")})
	must(t, "set by v2", err)
	same(t, "both set", says(), `[{"cas_required":false,"delete_version_after":"1h30m0s","max_versions":3},{"casRequired":false,"deactivateVersionAfter":"90m","maxVersions":3}]`)
	for range 4 {
		same(t, "the life span that v2 set", life(t, s.put(t, path, object{})), 90*time.Minute)
	}
	s.agree(t, "of five versions the domain keeps three", path, states{3: active, 4: active, 5: active})
	fails(t, "too many versions", set(types.PostConfigRequest{MaxVersions: ptr(uint32(24001))}), http.StatusBadRequest, codeArgument)
	cause := fails(t, "no duration", set(types.PostConfigRequest{DeleteVersionAfter: ptr("soon")}), http.StatusBadRequest, codeArgument)
	same(t, "it names the field", strings.Contains(cause.Error(), `error converting input for field "delete_version_after"`), true)
}

// What one dialect writes, the other reads.
func TestKvAndV2(t *testing.T) {
	s := connect(t, true)
	path := s.kvPath(t, "both")
	value := func(n uint32) object {
		return object{"n": fmt.Sprint(n), "deep": object{"list": []any{"漢字", 1.5, true, nil}}}
	}
	bothRead := func(what string, version uint32) {
		t.Helper()
		mine, theirs := s.read(t, path, version), s.get(t, path, &version, true).Version
		same(t, what+", by v1", mine.Data, any(value(version)))
		holds(t, what+", by v2", theirs, value(version))
		same(t, what+": created", theirs.CreatedAt, instant(t, what, mine.Metadata.CreatedTime).Truncate(time.Second).Format(time.RFC3339))
	}
	bothSay := func(what, want string) {
		t.Helper()
		v1, v2 := s.metadata(t, path), s.get(t, path, nil, false).Metadata
		same(t, what+", by v1", summary(v1), want)
		want = strings.NewReplacer("24h0m0s", "1d", "1h30m0s", "90m").Replace(want)
		same(t, what+", by v2", text([]any{v2.CurrentVersion, v2.OldestVersion, v2.CasRequired, v2.MaxVersions, v2.DeactivateVersionAfter, v2.CustomMetadata}), want)
		same(t, what+": urn", text(v1.Urn), text(v2.Urn))
	}

	must(t, "metadata by v1", s.PostSecretMetadata(s.ctx, s.id, path, settable{MaxVersions: ptr(uint32(7)), DeleteVersionAfter: ptr("1d"), CustomMetadata: &labels{"by": "v1"}}))
	bothSay("metadata alone", `[0,0,false,7,"24h0m0s",{"by":"v1"}]`)
	same(t, "version of metadata alone", s.get(t, path, nil, true).Version, nil)
	s.put(t, path, value(1), 0)
	bothRead("put by v1", 1)
	same(t, "added by v2", s.addVersion(t, path, ptr(uint32(1)), value(2)).Id, 2)
	bothRead("added by v2", 2)
	must(t, "patch by v1", errorOf(s.PatchSecretRequest(s.ctx, s.id, path, request(object{"n": "3"}, 2))))
	bothRead("patched by v1", 3)
	must(t, "update by v2", errorOf(s.PutSecretV2(s.ctx, s.id, path, ptr(uint32(3)), types.PutSecretV2Request{
		Metadata: &types.SecretV2MetadataShort{CasRequired: ptr(true), DeactivateVersionAfter: ptr("90m"), CustomMetadata: &types.SecretV2CustomMetadata{"also": "v2"}},
		Version:  &types.SecretV2VersionShort{Data: ptr(value(4))},
	})))
	bothRead("updated by v2", 4)
	bothSay("updated by v2", `[4,0,true,7,"1h30m0s",{"also":"v2","by":"v1"}]`)
	refused(t, "put without the cas that v2 demands", errorOf(s.PostSecretRequest(s.ctx, s.id, path, request(value(5)))), casRequired)

	must(t, "delete by v1", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1, 2}))
	s.mustSetState(t, path, 3, deactivated)
	s.agree(t, "deleted by v1, deactivated by v2", path, states{1: deactivated, 2: deactivated, 3: deactivated, 4: active})
	s.mustSetState(t, path, 1, active)
	must(t, "undelete by v1", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{3}))
	s.agree(t, "each brought back by the other", path, states{1: active, 2: deactivated, 3: active, 4: active})
	bothRead("activated by v2", 1)
	bothRead("undeleted by v1", 3)
	must(t, "destroy by v1", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{1}))
	s.mustSetState(t, path, 2, deleted)
	must(t, "undelete both", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{1, 2}))
	fails(t, "activate what v1 destroyed", errorOf(s.setState(path, 1, active)), http.StatusConflict, codeConflict)
	s.agree(t, "destroyed by v1, deleted by v2", path, states{1: deleted, 2: deleted, 3: active, 4: active})

	must(t, "delete by v2", s.DeleteSecretV2(s.ctx, s.id, path))
	missing(t, "read by v1", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	s.create(t, path, nil, value(1))
	bothRead("created by v2", 1)
	must(t, "delete by v1", s.DeleteSecretMetadata(s.ctx, s.id, path))
	fails(t, "read by v2", errorOf(s.GetSecretV2(s.ctx, s.id, path, nil, nil)), http.StatusNotFound, codeSecretNotFound)
}
