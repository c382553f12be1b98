package openbao

import (
	"fmt"
	"slices"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// A folder with names that are a secret, a folder, and both.
func tree(t *testing.T, s server) (string, []string) {
	t.Helper()
	folder := s.folder(t)
	names := []string{"a", "a/x", "a/y/z", "b/x", "c", "ca"}
	for _, name := range names {
		s.put(t, mount, folder+"/"+name, object{"name": name})
	}
	must(t, "delete", s.KVv2(mount).Delete(s.ctx, folder+"/c"))
	return folder, names
}

func keysIn(t *testing.T, what string, answer *api.Secret) []string {
	t.Helper()
	if answer == nil {
		return nil
	}
	var keys []string
	list, _ := answer.Data["keys"].([]any)
	for _, key := range list {
		text, ok := key.(string)
		holds(t, what+": a key is text", ok)
		keys = append(keys, text)
	}
	return keys
}

func TestList(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	folder, names := tree(t, s)
	list := func(path string) []string {
		t.Helper()
		got, err := kv.List(s.ctx, path)
		must(t, "list "+path, err)
		if got == nil {
			return nil
		}
		return got.Keys
	}
	same(t, "children, deleted ones too", list(folder), []string{"a", "a/", "b/", "c", "ca"})
	same(t, "with a slash", list(folder+"/"), []string{"a", "a/", "b/", "c", "ca"})
	same(t, "a folder that is a secret too", list(folder+"/a"), []string{"x", "y/"})
	same(t, "a secret has no children", list(folder+"/a/x"), nil)
	same(t, "nor has nothing", list(folder+"/nothing"), nil)
	holds(t, "the root", slices.Contains(list(""), "openbao/"))

	scan, err := kv.Scan(s.ctx, folder)
	must(t, "scan", err)
	holds(t, "scan finds all", scan != nil && slices.Equal(slices.Sorted(slices.Values(scan.Keys)), names))
	scan, err = kv.Scan(s.ctx, folder+"/nothing")
	must(t, "scan of nothing", err)
	holds(t, "scan of nothing finds nothing", scan == nil || len(scan.Keys) == 0)

	must(t, "delete all of b/x", kv.DeleteMetadata(s.ctx, folder+"/b/x"))
	same(t, "a folder goes with its last secret", list(folder), []string{"a", "a/", "c", "ca"})

	own := s.freshMount(t)
	got, err := s.KVv2(own).List(s.ctx, "")
	must(t, "list an empty mount", err)
	holds(t, "it is empty", got == nil)
	s.put(t, own, "x/y", object{"k": "v"})
	got, err = s.KVv2(own).List(s.ctx, "")
	must(t, "list a mount", err)
	holds(t, "its root", got != nil && slices.Equal(got.Keys, []string{"x/"}))
}

func TestListWithDetails(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	folder, names := tree(t, s)
	must(t, "custom metadata", kv.PutMetadata(s.ctx, folder+"/ca", api.KVMetadataPutInput{CustomMetadata: object{"owner": "ops"}}))

	list, err := kv.ListWithDetails(s.ctx, folder)
	must(t, "list", err)
	if list == nil {
		t.Fatal("list: nothing")
	}
	same(t, "keys", list.Keys, []string{"a", "a/", "b/", "c", "ca"})
	same(t, "details of each", keysOf(list.Metadata), []string{"a", "a/", "b/", "c", "ca"})
	same(t, "current_version", list.Metadata["a"].CurrentVersion, 1)
	same(t, "custom_metadata", list.Metadata["ca"].CustomMetadata, object{"owner": "ops"})
	holds(t, "deletion_time", !list.Metadata["c"].Versions["1"].DeletionTime.IsZero())
	full := s.metadata(t, mount, folder+"/ca")
	same(t, "all that the metadata's own read tells", *list.Metadata["ca"], *full)
	same(t, "a folder has none", len(at(t, "details", list.Raw.Data, "key_info", "b/")), 0)

	scan, err := kv.ScanWithDetails(s.ctx, folder)
	must(t, "scan", err)
	if scan == nil {
		t.Fatal("scan: nothing")
	}
	same(t, "all of them", slices.Sorted(slices.Values(scan.Keys)), names)
	same(t, "details of all of them", keysOf(scan.Metadata), names)
	same(t, "the details", *scan.Metadata["ca"], *full)
	list, err = kv.ListWithDetails(s.ctx, folder+"/nothing")
	must(t, "list nothing", err)
	holds(t, "list nothing", list == nil)
}

func TestPages(t *testing.T) {
	s := connect(t)
	folder, names := tree(t, s)
	path := mount + "/metadata/" + folder
	for _, way := range []struct {
		name string
		page func(after string, limit int) (*api.Secret, error)
		want []string
	}{
		{"list", func(after string, limit int) (*api.Secret, error) {
			return s.Logical().ListPageWithContext(s.ctx, path, after, limit)
		}, []string{"a", "a/", "b/", "c", "ca"}},
		{"scan", func(after string, limit int) (*api.Secret, error) {
			return s.Logical().ScanPageWithContext(s.ctx, path, after, limit)
		}, names},
	} {
		page := func(after string, limit int) []string {
			t.Helper()
			what := fmt.Sprintf("%s after %q, at most %d", way.name, after, limit)
			answer, err := way.page(after, limit)
			must(t, what, err)
			return keysIn(t, what, answer)
		}
		for _, limit := range []int{0, -1, 100} {
			same(t, fmt.Sprintf("%s: limit %d is all", way.name, limit), page("", limit), way.want)
		}
		for limit := 1; limit <= len(way.want); limit++ {
			var all []string
			after := ""
			for range len(way.want) + 1 {
				keys := page(after, limit)
				if len(keys) == 0 {
					break
				}
				holds(t, fmt.Sprintf("%s: no page above its limit %d", way.name, limit), len(keys) <= limit)
				all = append(all, keys...)
				after = keys[len(keys)-1]
			}
			same(t, fmt.Sprintf("%s: all pages of %d", way.name, limit), all, way.want)
		}
		same(t, way.name+": after a name that is not there", page("bb", 0), way.want[slices.Index(way.want, "c"):])
		same(t, way.name+": after the last", page("zz", 0), nil)
	}

	hidden, err := s.Logical().ReadWithDataWithContext(s.ctx, path, map[string][]string{"list": {"true"}, "exclude_deleted": {"true"}})
	must(t, "list without deleted ones", err)
	same(t, "list without deleted ones", keysIn(t, "list without deleted ones", hidden), []string{"a", "a/", "b/", "ca"})
	_, err = s.Logical().ReadWithDataWithContext(s.ctx, path, map[string][]string{"list": {"perhaps"}})
	fails(t, "list=perhaps", err, 400)
	_, err = s.Logical().ReadWithDataWithContext(s.ctx, path, map[string][]string{"list": {"true"}, "scan": {"true"}})
	fails(t, "list and scan", err, 400)
}
