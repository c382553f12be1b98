package openbao

import (
	"slices"
	"strings"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

const unsupported = "1 error occurred:\n\t* unsupported operation\n\n"

// Every answer has the nine keys, whether it is of any use or not.
func TestEnvelope(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	s.put(t, mount, folder+"/live", object{"k": "v"})
	s.put(t, mount, folder+"/deleted", object{"k": "v"})
	must(t, "delete", s.KVv2(mount).Delete(s.ctx, folder+"/deleted"))

	envelope := []string{
		"auth", "data", "lease_duration", "lease_id", "mount_type", "renewable", "request_id", "warnings", "wrap_info",
	}
	seen := map[any]bool{}
	for path, status := range map[string]int{
		"/data/" + folder + "/live": 200, "/metadata/" + folder + "/live": 200, "/config": 200,
		"/data/" + folder + "/deleted": 404, "/unrouted": 404,
	} {
		response, body := s.raw(t, mount+path, nil)
		same(t, path+": status", response.StatusCode, status)
		same(t, path+": Content-Type", response.Header.Get("Content-Type"), "application/json")
		same(t, path+": Cache-Control", response.Header.Get("Cache-Control"), "no-store")
		for _, key := range envelope {
			_, there := body[key]
			holds(t, path+" has "+key, there)
		}
		same(t, path+": lease_id", body["lease_id"], any(""))
		isNumber(t, path+": lease_duration", body["lease_duration"], "0")
		same(t, path+": renewable", body["renewable"], any(false))
		same(t, path+": wrap_info", body["wrap_info"], nil)
		same(t, path+": auth", body["auth"], nil)
		holds(t, path+": request_id is fresh", body["request_id"] != "" && !seen[body["request_id"]])
		seen[body["request_id"]] = true
	}

	// An error is Vault's and ours in one; that nothing is there is no error that has a text.
	response, body := s.raw(t, mount+"/data/"+folder+"/nothing", nil)
	same(t, "nothing: status", response.StatusCode, 404)
	same(t, "nothing: Content-Type", response.Header.Get("Content-Type"), "application/json")
	same(t, "nothing: errors", body["errors"], any([]any{}))
	for _, key := range []string{"error_code", "error_id", "request_id"} {
		_, there := body[key]
		holds(t, "nothing: has "+key, there)
	}
	_, err := s.Logical().ReadRawWithContext(s.ctx, "nothing/data/x")
	fails(t, "no mount", err, 404, `no handler for route "nothing/data/x". route entry not found.`)
}

// A 404 with data or warnings is an answer to this client, and one without is none.
func TestRead(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	path := mount + "/data/" + folder + "/read"
	s.put(t, mount, folder+"/read", object{"n": "1"})
	s.put(t, mount, folder+"/read", object{"n": "2"})

	for _, nothing := range []string{mount + "/data/" + folder + "/nothing", mount + "/metadata/" + folder + "/nothing", "nothing/data/x"} {
		got, err := s.Logical().ReadWithContext(s.ctx, nothing)
		must(t, "read "+nothing, err)
		holds(t, nothing+" is not there", got == nil)
	}
	same(t, "value", at(t, "read", s.read(t, path).Data, "data"), object{"n": "2"})
	version := func(texts ...string) (*api.Secret, error) {
		return s.Logical().ReadWithDataWithContext(s.ctx, path, map[string][]string{"version": texts})
	}
	for text, want := range map[string]string{"1": "1", "2": "2", "0": "2", "": "2", "-1": "2", "0x1": "1"} {
		got, err := version(text)
		must(t, "version="+text, err)
		same(t, "version="+text, at(t, "version="+text, got.Data, "data"), object{"n": want})
	}
	got, err := version("3")
	must(t, "version=3", err)
	holds(t, "version=3 is not there", got == nil)
	for _, wrong := range [][]string{{"one"}, {"1.5"}, {"1", "2"}} {
		_, err = version(wrong...)
		failsWith(t, "version="+strings.Join(wrong, "&version="), err, 400,
			`Field validation failed: error converting input for field "version"`)
	}

	must(t, "delete", s.KVv2(mount).Delete(s.ctx, folder+"/read"))
	gone := s.read(t, path)
	same(t, "keys of a deleted one", keysOf(gone.Data), []string{"data", "metadata"})
	same(t, "its data", gone.Data["data"], nil)
	metadata := at(t, "deleted", gone.Data, "metadata")
	isNumber(t, "its version", metadata["version"], "2")
	holds(t, "its deletion_time", metadata["deletion_time"] != "")
}

// Who forgets data/ is told of it, and not of a secret that is not there.
func TestPathsWithoutData(t *testing.T) {
	s := connect(t)
	hint := func(what string, answer *api.Secret, want string) {
		t.Helper()
		if answer == nil || len(answer.Warnings) != 1 {
			t.Errorf("%s: want one warning, got %+v", what, answer)
			return
		}
		holds(t, what+": "+answer.Warnings[0], strings.HasPrefix(answer.Warnings[0], want))
		same(t, what+": data", len(answer.Data), 0)
	}
	const unrouted = "Invalid path for a versioned K/V secrets engine."
	const root = "Non-listing operations on the root of a K/V v2 mount are not supported."
	for _, path := range []string{"/foo", "/foo/bar", "/dat/foo"} {
		hint("read "+path, s.read(t, mount+path), unrouted)
		answer, err := s.Logical().WriteWithContext(s.ctx, mount+path, object{"k": "v"})
		fails(t, "write "+path, err, 404)
		hint("write "+path, answer, unrouted)
		answer, err = s.Logical().DeleteWithContext(s.ctx, mount+path)
		fails(t, "delete "+path, err, 404)
		hint("delete "+path, answer, unrouted)
		answer, err = s.Logical().ListWithContext(s.ctx, mount+path)
		must(t, "list "+path, err)
		hint("list "+path, answer, unrouted)
	}
	// Not /metadata: OVHcloud lists the root there.
	for _, path := range []string{"/data", "/delete", "/undelete", "/destroy"} {
		hint("read "+path, s.read(t, mount+path), root)
	}
}

func TestWrite(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	path := mount + "/data/" + folder + "/write"
	write := func(body object) (*api.Secret, error) { return s.Logical().WriteWithContext(s.ctx, path, body) }
	text := func(body string) (*api.Secret, error) {
		return s.Logical().WriteBytesWithContext(s.ctx, path, []byte(body))
	}

	for what, body := range map[string]object{
		"no data": {"options": object{}}, "data null": {"data": nil}, "data []": {"data": []any{}}, "nothing": {},
	} {
		_, err := write(body)
		fails(t, what, err, 400, "no data provided")
		_, err = s.Logical().JSONMergePatch(s.ctx, path, body)
		fails(t, "patch with "+what, err, 400, "no data provided")
	}
	for _, data := range []any{"text", 1, true} {
		_, err := write(object{"data": data})
		failsWith(t, "data that is no object", err, 400, `Field validation failed: error converting input for field "data"`)
	}
	for _, body := range []string{`{`, `{"data":{}} x`, `[1]`, `"x"`, `{"data":{"k":01}}`} {
		_, err := text(body)
		failsWith(t, body, err, 400, "failed to decode JSON input: ")
	}
	_, err := s.KVv2(mount).GetMetadata(s.ctx, folder+"/write")
	isMissing(t, "refused writes leave nothing", err)

	made, err := write(object{"data": object{"k": "v"}, "zap": 1, "bar": "x", "options": object{"cas": 0, "method": "patch"}})
	must(t, "fields that nobody knows", err)
	same(t, "keys of the answer", keysOf(made.Data), versionKeys)
	same(t, "a warning of them", made.Warnings, []string{"Endpoint ignored these unrecognized parameters: [bar zap]"})
	made, err = write(object{"data": object{"k": "v"}})
	must(t, "write", err)
	same(t, "no warnings", len(made.Warnings), 0)
	_, err = text(`{"data":` + strings.Repeat(`{"k":`, 200) + `1` + strings.Repeat(`}`, 200) + `}`)
	fails(t, "200 levels", err, 400)
}

func TestVersionLists(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	path := folder + "/versions"
	for range 3 {
		s.put(t, mount, path, object{"k": "v"})
	}
	call := func(verb, path string, versions any) error {
		_, err := s.Logical().WriteWithContext(s.ctx, mount+"/"+verb+"/"+path, object{"versions": versions})
		return err
	}
	deleted := func(what string, want ...string) {
		t.Helper()
		var got []string
		for number, version := range s.metadata(t, mount, path).Versions {
			if !version.DeletionTime.IsZero() {
				got = append(got, number)
			}
		}
		slices.Sort(got)
		same(t, what, got, want)
	}
	for _, way := range []any{"1,2", []string{"1", "2"}, []int{1, 2, 7, -1}} {
		must(t, "delete", call("delete", path, way))
		deleted("deleted", "1", "2")
		must(t, "undelete", call("undelete", path, way))
		deleted("undeleted")
	}
	must(t, "one number", call("delete", path, 3))
	deleted("one number", "3")

	for verb, text := range map[string]string{
		"delete": "No version number provided", "undelete": "No version number provided", "destroy": "no version number provided",
	} {
		for _, none := range []any{[]int{}, nil, ""} {
			fails(t, verb+" of no version", call(verb, path, none), 400, text)
		}
		failsWith(t, verb+" of a word", call(verb, path, "one"), 400,
			`Field validation failed: error converting input for field "versions"`)
		must(t, verb+" of nothing", call(verb, folder+"/nothing", []int{1}))
		_, err := s.Logical().ReadWithContext(s.ctx, mount+"/"+verb+"/"+path)
		fails(t, "read "+verb, err, 405, unsupported)
		_, err = s.Logical().DeleteWithContext(s.ctx, mount+"/"+verb+"/"+path)
		fails(t, "delete "+verb, err, 405, unsupported)
	}
	for _, way := range []string{"data", "metadata"} {
		answer, err := s.Logical().DeleteWithContext(s.ctx, mount+"/"+way+"/"+folder+"/nothing")
		must(t, "delete of nothing", err)
		holds(t, "delete of nothing is silent", answer == nil)
	}
}

func TestSubkeys(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	path := mount + "/subkeys/" + folder + "/subkeys"
	subkeys := func(query map[string][]string) any {
		t.Helper()
		got, err := s.Logical().ReadWithDataWithContext(s.ctx, path, query)
		must(t, "subkeys", err)
		if got == nil {
			t.Fatal("subkeys: nothing there")
		}
		same(t, "keys of the answer", keysOf(got.Data), []string{"metadata", "subkeys"})
		same(t, "keys of its metadata", keysOf(at(t, "subkeys", got.Data, "metadata")), versionKeys)
		return got.Data["subkeys"]
	}
	s.put(t, mount, folder+"/subkeys", object{})
	same(t, "an empty value", subkeys(nil), any(object{}))
	s.put(t, mount, folder+"/subkeys", object{
		"leaf": 1, "list": []any{object{"k": "v"}}, "empty": object{}, "one": object{"two": object{"three": "v"}},
	})
	whole := object{"leaf": nil, "list": nil, "empty": nil, "one": object{"two": object{"three": nil}}}
	same(t, "all levels", subkeys(nil), any(whole))
	for depth, want := range map[string]any{
		"0": whole["one"], "1": nil, "2": object{"two": nil}, "3": whole["one"], "9": whole["one"],
	} {
		got, _ := subkeys(map[string][]string{"depth": {depth}}).(object)
		same(t, "depth "+depth, got["one"], want)
		same(t, "depth "+depth+": keys", keysOf(got), keysOf(whole))
	}
	same(t, "version 1", subkeys(map[string][]string{"version": {"1"}}), any(object{}))
	_, err := s.Logical().ReadWithDataWithContext(s.ctx, path, map[string][]string{"depth": {"deep"}})
	failsWith(t, "no depth", err, 400, `Field validation failed: error converting input for field "depth"`)

	must(t, "delete", s.KVv2(mount).Delete(s.ctx, folder+"/subkeys"))
	same(t, "of a deleted one", subkeys(nil), nil)
	must(t, "destroy", s.KVv2(mount).Destroy(s.ctx, folder+"/subkeys", []int{2}))
	same(t, "of a destroyed one", subkeys(nil), nil)
	nothing, err := s.Logical().ReadWithContext(s.ctx, mount+"/subkeys/"+folder+"/nothing")
	must(t, "subkeys of nothing", err)
	holds(t, "subkeys of nothing", nothing == nil)
}
