package sdk

// The SDK's calls for the API that is compatible with KV version 2, which are those of `okms vault`.
// Of a 404 the SDK drops the data, so what is deleted and what is destroyed is seen in the metadata.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ovh/okms-sdk-go"
	"github.com/ovh/okms-sdk-go/types"
)

const (
	codeArgument                 = okms.ErrorCode(50405377)
	codeDomainNotFound           = okms.ErrorCode(16994305)
	casMismatch                  = "check-and-set parameter did not match the current version"
	casRequired                  = "check-and-set parameter required for this call"
	active, deactivated, deleted = types.SecretV2StateActive, types.SecretV2StateDeactivated, types.SecretV2StateDeleted
)

type states = map[uint32]types.SecretV2State
type labels = map[string]string
type body = types.PostSecretRequest
type settings = types.SecretUpdatableMetadata
type defaults = types.PostConfigRequest

// connectKv comes with a fresh path, whose secret goes when the test ends.
func connectKv(t *testing.T, name string) (server, string) {
	t.Helper()
	s, path := connect(t, true), freshPath(name)
	t.Cleanup(func() { _ = s.DeleteSecretMetadata(s.ctx, s.id, path) })
	return s, path
}

func errorOf[T any](_ T, err error) error { return err }

// text is how values are compared that are full of pointers.
func text(value any) string {
	out, _ := json.Marshal(value)
	return string(out)
}

func request(data object, cas ...uint32) body {
	if len(cas) > 0 {
		return body{Data: &data, Options: &types.PostSecretOptions{Cas: &cas[0]}}
	}
	return body{Data: &data}
}

// the is what must be there: the SDK has nil for an answer that is not the JSON it expects.
func the[T any](t *testing.T, what string, got *T, err error) *T {
	t.Helper()
	must(t, what, err)
	if got == nil {
		t.Fatalf("%s: absent", what)
	}
	return got
}

func (s server) put(t *testing.T, path string, data object, cas ...uint32) *types.SecretVersionMetadata {
	t.Helper()
	made, err := s.PostSecretRequest(s.ctx, s.id, path, request(data, cas...))
	return the(t, "put "+path, the(t, "put "+path, made, err).Data, nil)
}

// read reads a version, 0 for the current one.
func (s server) read(t *testing.T, path string, version uint32) *types.SecretData {
	t.Helper()
	got, err := s.GetSecretRequest(s.ctx, s.id, path, &version)
	return the(t, "read "+path, the(t, "read "+path, got, err).Data, nil)
}

func (s server) metadata(t *testing.T, path string) *types.SecretMetadata {
	t.Helper()
	got, err := s.GetSecretsMetadata(s.ctx, s.id, path, false)
	return the(t, "metadata of "+path, the(t, "metadata of "+path, got, err).Data, nil)
}

// summary is what metadata says but for times and versions.
func (s server) summary(t *testing.T, path string) string {
	t.Helper()
	m := s.metadata(t, path)
	return text([]any{m.CurrentVersion, m.OldestVersion, m.CasRequired, m.MaxVersions, m.DeleteVersionAfter, m.CustomMetadata})
}

func refused(t *testing.T, what string, err error, why string) {
	t.Helper()
	same(t, what, errors.Join(fails(t, what, err, http.StatusBadRequest, codeArgument).Errors...).Error(), why)
}

// missing checks a 404 for a secret or a version, which has no text, as Vault's has none.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	cause := the(t, fmt.Sprintf("%s: error of the service in %v", what, err), okms.AsKmsError(err), nil)
	got := []any{okms.ErrStatusCode(err), cause.ErrorCode, len(cause.Errors), cause.ErrorId != "", cause.RequestId != ""}
	same(t, what, got, []any{http.StatusNotFound, codeSecretNotFound, 0, true, true})
}

func instant(t *testing.T, what string, got *string) time.Time {
	t.Helper()
	at, err := time.Parse(`"2006-01-02T15:04:05Z"`, text(got))
	must(t, what, err)
	return at
}

func life(t *testing.T, version *types.SecretVersionMetadata) time.Duration {
	t.Helper()
	return instant(t, "deletion_time", version.DeletionTime).Sub(instant(t, "created_time", version.CreatedTime))
}

// describes checks all five members that tell of a live version; null is absent here.
func describes(t *testing.T, what string, got *types.SecretVersionMetadata, version uint32, custom *labels) {
	t.Helper()
	if age := time.Since(instant(t, what, the(t, what, got, nil).CreatedTime)).Abs(); age > 2*time.Minute {
		t.Errorf("%s: created_time %s is not now", what, *got.CreatedTime)
	}
	want := *got
	want.CustomMetadata, want.DeletionTime, want.Destroyed, want.Version = custom, ptr(""), ptr(false), &version
	same(t, what, text(got), text(want))
}

// agree checks that both dialects tell these states: v1 in its metadata and by what it lets read, v2 in its list.
func (s server) agree(t *testing.T, what, path string, want states) {
	t.Helper()
	page, err := s.ListSecretVersionV2(s.ctx, s.id, path, nil, nil)
	must(t, what+": list versions", err)
	listed, told := states{}, *the(t, what, s.metadata(t, path).Versions, nil)
	for _, version := range page.ListSecretVersionV2Response {
		listed[version.Id] = version.State
	}
	same(t, what+": v2", listed, want)
	same(t, what+": how many versions v1 tells", len(told), len(want))
	for number, state := range want {
		what, version := fmt.Sprintf("%s: version %d, by v1", what, number), told[fmt.Sprint(number)]
		isOver := text(version.DeletionTime) != `""` && time.Now().After(instant(t, what, version.DeletionTime))
		is(t, what+": destroyed", version.Destroyed, state == deleted)
		same(t, what+": deleted", isOver || state == deleted, state != active)
		if _, err := s.GetSecretRequest(s.ctx, s.id, path, &number); state == active {
			must(t, what, err)
		} else {
			missing(t, what, err)
		}
	}
}

// kvCalls is every call of the dialect, on a secret and on the config, of which it writes nothing.
func (s server) kvCalls(id uuid.UUID, path string) map[string]func() error {
	data, one, cas := request(object{"k": "v"}), []uint32{1}, settings{CasRequired: ptr(true)}
	return map[string]func() error{
		"config":         func() error { return errorOf(s.GetSecretConfig(s.ctx, id)) },
		"set config":     func() error { return s.PostSecretConfig(s.ctx, id, defaults{}) },
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
	s, path := connectKv(t, "absent")
	calls := s.kvCalls(s.id, path)
	for _, name := range []string{"delete", "delete some", "undelete", "destroy", "delete all"} {
		must(t, name, calls[name]())
	}
	must(t, "put no metadata, which makes nothing", s.PostSecretMetadata(s.ctx, s.id, path, settings{}))
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
	s, path := connectKv(t, "lifecycle")
	one, two := object{"user": "app", "password": "one"}, object{"user": "app", "password": "two"}
	describes(t, "first put", s.put(t, path, one), 1, nil)
	describes(t, "second put", s.put(t, path, two), 2, nil)
	for version, want := range map[uint32]object{1: one, 2: two} {
		same(t, "value", s.read(t, path, version).Data, any(want))
		describes(t, "read", s.read(t, path, version).Metadata, version, nil)
	}
	missing(t, "a version that never was", errorOf(s.GetSecretRequest(s.ctx, s.id, path, ptr(uint32(3)))))

	// The latest version, or those that are named; what is not there is passed over.
	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, path))
	s.agree(t, "delete", path, states{1: active, 2: deactivated})
	missing(t, "read the current one", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	before := s.metadata(t, path)
	must(t, "delete again", s.DeleteSecretRequest(s.ctx, s.id, path))
	same(t, "the first deletion_time stays", text(s.metadata(t, path)), text(before))
	must(t, "delete some", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1, 9}))
	s.agree(t, "delete some", path, states{1: deactivated, 2: deactivated})
	must(t, "undelete", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{2, 9}))
	s.agree(t, "undelete", path, states{1: deactivated, 2: active})
	same(t, "value after undelete", s.read(t, path, 0).Data, any(two))
	describes(t, "restored", s.read(t, path, 0).Metadata, 2, nil)
	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{1, 2, 9}))
	must(t, "undelete what is destroyed", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{1, 2}))
	must(t, "delete what is destroyed", s.DeleteSecretRequest(s.ctx, s.id, path))
	s.agree(t, "destroy", path, states{1: deleted, 2: deleted})
	is(t, "destroying and deleting what is destroyed set no deletion_time", (*s.metadata(t, path).Versions)["2"].DeletionTime, "")
	refused(t, "delete none", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{}), "No version number provided")
	refused(t, "undelete none", s.PostSecretUndelete(s.ctx, s.id, path, []uint32{}), "No version number provided")
	refused(t, "destroy none", s.PutSecretDestroy(s.ctx, s.id, path, nil), "no version number provided")
	describes(t, "put over what is destroyed", s.put(t, path, one), 3, nil)
	s.agree(t, "put over it", path, states{1: deleted, 2: deleted, 3: active})
	must(t, "delete all", s.DeleteSecretMetadata(s.ctx, s.id, path))
	missing(t, "read after that", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))
	describes(t, "it begins anew", s.put(t, path, one, 0), 1, nil)
}

func TestKvCasAndPatch(t *testing.T) {
	s, path := connectKv(t, "cas")
	put := func(b body) error { return errorOf(s.PostSecretRequest(s.ctx, s.id, path, b)) }
	patch := func(b body) error { return errorOf(s.PatchSecretRequest(s.ctx, s.id, path, b)) }
	bothRefused := func(what, why string, b body) {
		t.Helper()
		refused(t, what+": put", put(b), why)
		refused(t, what+": patch", patch(b), why)
	}
	custom := &labels{"k": "v"}
	must(t, "demand cas", s.PostSecretMetadata(s.ctx, s.id, path, settings{CasRequired: ptr(true), CustomMetadata: custom}))
	bothRefused("no cas where nothing is", casRequired, request(object{}))
	bothRefused("cas 1 where nothing is", casMismatch, request(object{}, 1))
	missing(t, "patch of metadata alone", patch(request(object{}, 0)))
	describes(t, "cas 0", s.put(t, path, object{"text": "a", "deep": object{"x": "1", "y": "2"}, "list": []any{"a"}}, 0), 1, custom)
	bothRefused("no cas", casRequired, request(object{}))
	bothRefused("cas 0 again", casMismatch, request(object{}, 0))
	bothRefused("cas too high", casMismatch, request(object{}, 2))

	// The SDK calls a patch application/json.
	changes := object{"text": nil, "deep": object{"y": nil, "z": 3}, "list": []any{"c"}}
	patched, err := s.PatchSecretRequest(s.ctx, s.id, path, request(changes, 1))
	describes(t, "patch", the(t, "patch", patched, err).Data, 2, custom)
	bothRefused("cas too low", casMismatch, request(object{}, 1))
	must(t, "patch with nothing", patch(request(object{}, 2)))
	same(t, "patched", text(s.read(t, path, 3).Data), `{"deep":{"x":"1","z":3},"list":["c"]}`)
	bothRefused("null", "no data provided", request(nil, 3))
	bothRefused("no data", "no data provided", body{Options: &types.PostSecretOptions{Cas: ptr(uint32(3))}})
	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, path))
	bothRefused("no cas over a deleted version", casRequired, request(object{}))
	bothRefused("cas 0 over a deleted version", casMismatch, request(object{}, 0))
	missing(t, "patch of a deleted version", patch(request(object{}, 3)))
	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{3}))
	missing(t, "patch of a destroyed version", patch(request(object{}, 3)))
	must(t, "demand none", s.PatchSecretMetadata(s.ctx, s.id, path, settings{CasRequired: ptr(false)}))
	bothRefused("a wrong cas that was not asked for", casMismatch, request(object{}, 9))
	describes(t, "no cas", s.put(t, path, object{}), 4, custom)
}

func TestKvSubkeys(t *testing.T) {
	s, path := connectKv(t, "subkeys")
	s.put(t, path, object{"a": object{"b": object{"c": "1"}, "none": object{}}, "list": []any{object{"x": "1"}}})
	s.put(t, path, object{})
	const full = `{"a":{"b":{"c":null},"none":null},"list":null}`
	// By depth, version, and the version that is told.
	for asked, want := range map[[3]uint32]string{
		{0, 0, 2}: `{}`, {1, 2, 2}: `{}`, {0, 1, 1}: full, {3, 1, 1}: full,
		{1, 1, 1}: `{"a":null,"list":null}`, {2, 1, 1}: `{"a":{"b":null,"none":null},"list":null}`,
	} {
		what := fmt.Sprintf("depth %d, version %d", asked[0], asked[1])
		got, err := s.GetSecretSubkeys(s.ctx, s.id, path, &asked[0], &asked[1])
		told := the(t, what, the(t, what, got, err).Data, nil)
		same(t, what, text(told.Subkeys), want)
		describes(t, what, told.Metadata, asked[2], nil)
	}
	must(t, "delete", s.DeleteSecretVersions(s.ctx, s.id, path, []uint32{1}))
	must(t, "destroy", s.PutSecretDestroy(s.ctx, s.id, path, []uint32{2}))
	for _, version := range []uint32{0, 1, 2, 3} { // the current one, deleted, destroyed, never there
		missing(t, fmt.Sprintf("subkeys of version %d", version), errorOf(s.GetSecretSubkeys(s.ctx, s.id, path, nil, &version)))
	}
}

func TestKvMetadata(t *testing.T) {
	s, path := connectKv(t, "metadata")
	put := func(to settings) error { return s.PostSecretMetadata(s.ctx, s.id, path, to) }
	patch := func(to settings) error { return s.PatchSecretMetadata(s.ctx, s.id, path, to) }
	all := settings{CasRequired: ptr(true), DeleteVersionAfter: ptr("1d"), MaxVersions: ptr(uint32(2)), CustomMetadata: &labels{"a": "1"}}
	must(t, "create", put(all))
	same(t, "created", s.summary(t, path), `[0,0,true,2,"24h0m0s",{"a":"1"}]`)
	same(t, "no versions", len(*s.metadata(t, path).Versions), 0)
	missing(t, "read of metadata alone", errorOf(s.GetSecretRequest(s.ctx, s.id, path, nil)))

	// okms-cli names custom_metadata every time: empty, a put clears it, and a patch leaves it alone.
	must(t, "patch", patch(settings{CasRequired: ptr(false), CustomMetadata: &labels{"b": "2"}}))
	must(t, "patch with nothing", patch(settings{CustomMetadata: &labels{}}))
	same(t, "merged", s.summary(t, path), `[0,0,false,2,"24h0m0s",{"a":"1","b":"2"}]`)
	must(t, "replace", put(settings{CustomMetadata: &labels{"d": "5"}}))
	same(t, "replaced", s.summary(t, path), `[0,0,false,2,"24h0m0s",{"d":"5"}]`)
	must(t, "clear", put(settings{CustomMetadata: &labels{}, DeleteVersionAfter: ptr("90m")}))
	same(t, "cleared", s.summary(t, path), `[0,0,false,2,"1h30m0s",null]`)
	same(t, "life of a version", life(t, s.put(t, path, object{})), 90*time.Minute)
	s.agree(t, "a deletion to come", path, states{1: active})
	must(t, "no more", patch(settings{DeleteVersionAfter: ptr("0s")}))
	describes(t, "without a life span", s.put(t, path, object{}), 2, nil)
	third := s.put(t, path, object{})
	s.agree(t, "the first one is pruned", path, states{2: active, 3: active})
	missing(t, "read what is pruned", errorOf(s.GetSecretRequest(s.ctx, s.id, path, ptr(uint32(1)))))
	must(t, "patch", patch(settings{CustomMetadata: &labels{"late": "1"}}))
	is(t, "updated_time is the newest version's", s.metadata(t, path).UpdatedTime, *third.CreatedTime)
	refused(t, "a negative duration", put(settings{DeleteVersionAfter: ptr("-1s")}),
		`Field validation failed: error converting input for field "delete_version_after": cannot provide negative value '-1'`)
	refused(t, "an empty label", patch(settings{CustomMetadata: &labels{"k": ""}}),
		"1 error occurred:\n\t* custom_metadata validation failed: length of value for key \"k\" is 0 but must be 0 < len(value) <= 512\n\n")
	fails(t, "too many versions", put(settings{MaxVersions: ptr(uint32(24001))}), http.StatusBadRequest, codeArgument)
	same(t, "after refusals", s.summary(t, path), `[3,2,false,2,"0s",{"late":"1"}]`)
}

func TestKvList(t *testing.T) {
	s, base := connectKv(t, "list")
	for _, name := range []string{"/b", "/a", "/a/deep/leaf", "/é \"x\"", "/gone"} {
		t.Cleanup(func() { _ = s.DeleteSecretMetadata(s.ctx, s.id, base+name) })
		s.put(t, base+name, object{"name": name})
		same(t, "read "+name, s.read(t, base+name, 0).Data, any(object{"name": name}))
	}
	must(t, "delete", s.DeleteSecretRequest(s.ctx, s.id, base+"/gone"))
	all, deep := `{"keys":["a","a/","b","gone","é \"x\""]}`, `{"keys":["deep/"]}`
	for below, want := range map[string]string{"": all, "/": all, "/a": deep, "/a/": deep, "/a/deep": `{"keys":["leaf"]}`} {
		got, err := s.GetSecretsMetadata(s.ctx, s.id, base+below, true)
		same(t, "list "+below, text(the(t, "list "+below, got, err).Data), want)
	}
	missing(t, "list a leaf", errorOf(s.GetSecretsMetadata(s.ctx, s.id, base+"/b", true)))
	root, err := s.GetSecretsMetadata(s.ctx, s.id, "", true)
	keys := the(t, "list the root", the(t, "list the root", root, err).Data, nil).Keys
	same(t, "the root holds our folder", slices.Contains(*the(t, "keys of the root", keys, nil), "sdk/"), true)
	refused(t, "put to a folder", s.kvCalls(s.id, base+"/")["put"](), "cannot write to a path ending in '/'")
	refused(t, "get what is relative", s.kvCalls(s.id, base+"/../x")["get"](), "relative paths not supported")
}

// The domain's defaults. Not in parallel with anything: they bear on every secret of the domain.
func TestKvConfig(t *testing.T) {
	s, path := connectKv(t, "config")
	set := func(to defaults) error { return s.PostSecretConfig(s.ctx, s.id, to) }
	says := func() string {
		v1, err := s.GetSecretConfig(s.ctx, s.id)
		the(t, "read", v1, err)
		v2, err := s.GetSecretConfigV2(s.ctx, s.id)
		must(t, "read by v2", err)
		return text(v1.Data) + text(v2)
	}
	found := says()
	before, err := s.GetSecretConfigV2(s.ctx, s.id)
	the(t, "read what is to be restored", before, err)
	t.Cleanup(func() {
		// By v2, as v1 does not tell a duration as it was typed.
		_, err := s.PutSecretConfigV2(s.ctx, s.id, types.PutSecretConfigV2Request(*before))
		must(t, "restore the config", err)
		same(t, "restored", says(), found)
	})
	must(t, "set all", set(defaults{CasRequired: ptr(true), DeleteVersionAfter: ptr("1d"), MaxVersions: ptr(uint32(3))}))
	must(t, "set nothing", set(defaults{}))
	same(t, "all set", says(), `{"cas_required":true,"delete_version_after":"24h0m0s","max_versions":3}`+
		`{"casRequired":true,"deactivateVersionAfter":"1d","maxVersions":3}`)
	must(t, "demand less than the domain", s.PostSecretMetadata(s.ctx, s.id, path, settings{CasRequired: ptr(false)}))
	refused(t, "put without the domain's cas", errorOf(s.PostSecretRequest(s.ctx, s.id, path, request(object{}))), casRequired)
	same(t, "the domain's life span", life(t, s.put(t, path, object{}, 0)), 24*time.Hour)
	must(t, "set one", set(defaults{CasRequired: ptr(false)}))
	_, err = s.PutSecretConfigV2(s.ctx, s.id, types.PutSecretConfigV2Request{DeactivateVersionAfter: ptr("90m")})
	must(t, "set by v2", err)
	same(t, "one set by each", says(), `{"cas_required":false,"delete_version_after":"1h30m0s","max_versions":3}`+
		`{"casRequired":false,"deactivateVersionAfter":"90m","maxVersions":3}`)
	for range 4 {
		same(t, "the life span that v2 set", life(t, s.put(t, path, object{})), 90*time.Minute)
	}
	s.agree(t, "of five versions the domain keeps three", path, states{3: active, 4: active, 5: active})
	fails(t, "too many versions", set(defaults{MaxVersions: ptr(uint32(24001))}), http.StatusBadRequest, codeArgument)
	fails(t, "no duration", set(defaults{DeleteVersionAfter: ptr("soon")}), http.StatusBadRequest, codeArgument)
}

// What one dialect writes, the other reads.
func TestKvAndV2(t *testing.T) {
	s, path := connectKv(t, "both")
	value := func(n uint32) object { return object{"n": fmt.Sprint(n), "list": []any{"漢字", 1.5, true, nil}} }
	bothRead := func(what string, version uint32) {
		t.Helper()
		v1, v2 := s.read(t, path, version), s.get(t, path, &version, true).Version
		same(t, what+", by v1", v1.Data, any(value(version)))
		holds(t, what+", by v2", v2, value(version))
		same(t, what+": createdAt", v2.CreatedAt, instant(t, what, v1.Metadata.CreatedTime).Format(time.RFC3339))
	}
	bothSay := func(what, v1, v2 string) {
		t.Helper()
		m := s.get(t, path, nil, false).Metadata
		same(t, what+", by v1", s.summary(t, path), v1)
		theirs := []any{m.CurrentVersion, m.OldestVersion, m.CasRequired, m.MaxVersions, m.DeactivateVersionAfter, m.CustomMetadata}
		same(t, what+", by v2", text(theirs), v2)
		is(t, what+": urn", s.metadata(t, path).Urn, *the(t, what+": urn, by v2", m.Urn, nil))
	}
	must(t, "metadata by v1", s.PostSecretMetadata(s.ctx, s.id, path, settings{DeleteVersionAfter: ptr("1d"), CustomMetadata: &labels{"by": "v1"}}))
	bothSay("metadata alone", `[0,0,false,0,"24h0m0s",{"by":"v1"}]`, `[0,0,false,0,"1d",{"by":"v1"}]`)
	same(t, "version of metadata alone", s.get(t, path, nil, true).Version, nil)
	s.put(t, path, value(1), 0)
	bothRead("put by v1", 1)
	same(t, "added by v2", s.addVersion(t, path, ptr(uint32(1)), value(2)).Id, 2)
	bothRead("added by v2", 2)
	must(t, "patch by v1", errorOf(s.PatchSecretRequest(s.ctx, s.id, path, request(object{"n": "3"}, 2))))
	bothRead("patched by v1", 3)
	must(t, "update by v2", errorOf(s.PutSecretV2(s.ctx, s.id, path, ptr(uint32(3)), types.PutSecretV2Request{
		Metadata: &types.SecretV2MetadataShort{CasRequired: ptr(true), MaxVersions: ptr(uint32(7)), DeactivateVersionAfter: ptr("90m")},
		Version:  &types.SecretV2VersionShort{Data: ptr(value(4))},
	})))
	bothRead("updated by v2", 4)
	bothSay("updated by v2", `[4,0,true,7,"1h30m0s",{"by":"v1"}]`, `[4,0,true,7,"90m",{"by":"v1"}]`)
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
