package openbao

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

const (
	casMismatch = "check-and-set parameter did not match the current version"
	casRequired = "check-and-set parameter required for this call"
)

// One secret's life, by every address and every mount that shows the domain.
func TestLifecycle(t *testing.T) {
	prefixed := connect(t)
	plain := connectTo(t, env(t, "KMS_RESTAPI_ENDPOINT"), ourIdentity(t))
	own := prefixed.freshMount(t)
	for _, way := range []struct {
		name  string
		by    server
		mount string
	}{
		{"domain in the address", prefixed, mount},
		{"domain in the certificate", plain, mount},
		{"domain in the address, IBM's mount", prefixed, "ibmcloud/kv"},
		{"domain in the certificate, IBM's mount", plain, "ibmcloud/kv"},
		{"domain in the address, a mount of one's own", prefixed, own},
		{"domain in the certificate, a mount of one's own", plain, own},
	} {
		t.Run(way.name, func(t *testing.T) { lifecycle(t, way.by, way.mount) })
	}
}

func lifecycle(t *testing.T, s server, mount string) {
	kv := s.KVv2(mount)
	path := s.folderIn(t, mount) + "/nested/secret"
	first, second := object{"user": "app", "password": "one"}, object{"user": "app", "password": "two"}

	_, err := kv.Get(s.ctx, path)
	isMissing(t, "get before it is there", err)
	_, err = kv.GetMetadata(s.ctx, path)
	isMissing(t, "metadata before it is there", err)

	made := s.put(t, mount, path, first, api.WithCheckAndSet(0))
	same(t, "keys of the answer", keysOf(made.Raw.Data), versionKeys)
	same(t, "version", made.VersionMetadata.Version, 1)
	isRecent(t, "created_time", made.VersionMetadata.CreatedTime)
	holds(t, "no deletion_time", made.VersionMetadata.DeletionTime.IsZero())
	same(t, "destroyed", made.VersionMetadata.Destroyed, false)
	same(t, "custom_metadata is null", made.Raw.Data["custom_metadata"], nil)
	same(t, "second version", s.put(t, mount, path, second, api.WithCheckAndSet(1)).VersionMetadata.Version, 2)

	got := s.get(t, mount, path)
	same(t, "value", got.Data, second)
	same(t, "keys of the read", keysOf(got.Raw.Data), []string{"data", "metadata"})
	same(t, "keys of its metadata", keysOf(at(t, "read", got.Raw.Data, "metadata")), versionKeys)
	same(t, "current version", got.VersionMetadata.Version, 2)
	isRecent(t, "created_time of the read", got.VersionMetadata.CreatedTime)
	for version, want := range map[int]object{0: second, 1: first, 2: second} {
		old, err := kv.GetVersion(s.ctx, path, version)
		must(t, fmt.Sprintf("get version %d", version), err)
		same(t, fmt.Sprintf("value of version %d", version), old.Data, want)
	}
	_, err = kv.GetVersion(s.ctx, path, 3)
	isMissing(t, "a version that never was", err)
	versions, err := kv.GetVersionsAsList(s.ctx, path)
	must(t, "versions", err)
	same(t, "number of versions", len(versions), 2)
	for n, version := range versions {
		same(t, "its number", version.Version, n+1)
		isRecent(t, "its created_time", version.CreatedTime)
		holds(t, "it is neither deleted nor destroyed", version.DeletionTime.IsZero() && !version.Destroyed)
	}

	// The latest one is deleted and comes back; so are several.
	must(t, "delete", kv.Delete(s.ctx, path))
	gone := s.get(t, mount, path)
	holds(t, "a deleted version has no data", gone.Data == nil)
	isRecent(t, "deletion_time", gone.VersionMetadata.DeletionTime)
	must(t, "delete again", kv.Delete(s.ctx, path))
	same(t, "the first deletion_time stays", s.get(t, mount, path).VersionMetadata.DeletionTime, gone.VersionMetadata.DeletionTime)
	must(t, "delete versions", kv.DeleteVersions(s.ctx, path, []int{1, 2, 9}))
	old, err := kv.GetVersion(s.ctx, path, 1)
	must(t, "get a deleted version", err)
	holds(t, "it has no data", old.Data == nil && !old.VersionMetadata.DeletionTime.IsZero())
	must(t, "undelete", kv.Undelete(s.ctx, path, []int{1, 2, 9}))
	back := s.get(t, mount, path)
	same(t, "undeleted", back.Data, second)
	holds(t, "its deletion_time is gone", back.VersionMetadata.DeletionTime.IsZero())

	// A destroyed one does not.
	must(t, "destroy", kv.Destroy(s.ctx, path, []int{2}))
	must(t, "undelete what is destroyed", kv.Undelete(s.ctx, path, []int{2}))
	gone = s.get(t, mount, path)
	holds(t, "a destroyed version has no data", gone.Data == nil)
	same(t, "destroyed", gone.VersionMetadata.Destroyed, true)
	holds(t, "destroying sets no deletion_time", gone.VersionMetadata.DeletionTime.IsZero())
	must(t, "delete what is destroyed", kv.Delete(s.ctx, path))
	holds(t, "nor does deleting it then", s.get(t, mount, path).VersionMetadata.DeletionTime.IsZero())

	rolled, err := kv.Rollback(s.ctx, path, 1)
	must(t, "roll back", err)
	same(t, "version after rolling back", rolled.VersionMetadata.Version, 3)
	same(t, "value after rolling back", s.get(t, mount, path).Data, first)
	if _, err = kv.Rollback(s.ctx, path, 2); err == nil {
		t.Error("rolled back to a destroyed version")
	}
	_, err = kv.Rollback(s.ctx, path, 9)
	isMissing(t, "roll back to no version", err)
	full := s.metadata(t, mount, path)
	same(t, "current_version", full.CurrentVersion, 3)
	same(t, "versions of the metadata", keysOf(full.Versions), []string{"1", "2", "3"})
	same(t, "destroyed in the metadata", full.Versions["2"].Destroyed, true)

	must(t, "delete all", kv.DeleteMetadata(s.ctx, path))
	_, err = kv.Get(s.ctx, path)
	isMissing(t, "get after that", err)
	_, err = kv.GetMetadata(s.ctx, path)
	isMissing(t, "metadata after that", err)
	_, err = kv.GetVersionsAsList(s.ctx, path)
	isMissing(t, "versions after that", err)
	same(t, "it begins anew", s.put(t, mount, path, first, api.WithCheckAndSet(0)).VersionMetadata.Version, 1)
}

func TestCheckAndSet(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	path := s.folder(t) + "/cas"

	_, err := kv.Put(s.ctx, path, object{"n": "x"}, api.WithCheckAndSet(1))
	fails(t, "cas 1 where nothing is", err, 400, casMismatch)
	s.put(t, mount, path, object{"n": "1"}, api.WithCheckAndSet(0))
	for _, cas := range []int{0, 2, -1} {
		_, err = kv.Put(s.ctx, path, object{"n": "x"}, api.WithCheckAndSet(cas))
		fails(t, fmt.Sprintf("cas %d at version 1", cas), err, 400, casMismatch)
	}
	_, err = kv.Put(s.ctx, path, object{"n": "x"}, api.WithOption("cas", "soon"))
	fails(t, "a cas that is no number", err, 400, "error parsing check-and-set parameter")
	s.put(t, mount, path, object{"n": "2"}, api.WithOption("cas", "1"))

	// A secret whose versions are all gone keeps its number.
	must(t, "delete", kv.Delete(s.ctx, path))
	must(t, "destroy", kv.Destroy(s.ctx, path, []int{1, 2}))
	_, err = kv.Put(s.ctx, path, object{"n": "x"}, api.WithCheckAndSet(0))
	fails(t, "cas 0 where all is destroyed", err, 400, casMismatch)
	same(t, "cas 2 there", s.put(t, mount, path, object{"n": "3"}, api.WithCheckAndSet(2)).VersionMetadata.Version, 3)

	must(t, "demand cas", kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{CASRequired: true}))
	_, err = kv.Put(s.ctx, path, object{"n": "x"})
	fails(t, "put without the demanded cas", err, 400, casRequired)
	_, err = kv.Patch(s.ctx, path, object{"n": "x"})
	fails(t, "patch without the demanded cas", err, 400, casRequired)
	same(t, "refused writes change nothing", s.get(t, mount, path).Data, object{"n": "3"})
	patched, err := kv.Patch(s.ctx, path, object{"n": "4"}, api.WithCheckAndSet(3))
	must(t, "patch with it", err)
	same(t, "version", patched.VersionMetadata.Version, 4)
	// This one reads the number itself.
	_, err = kv.Patch(s.ctx, path, object{"n": "5"}, api.WithMergeMethod(api.KVMergeMethodReadWrite))
	must(t, "read and write with it", err)
}

// Of many writers that expect the same version, one wins, and no version number is used twice.
func TestCheckAndSetRace(t *testing.T) {
	s := connect(t)
	path := s.folder(t) + "/race"
	s.put(t, mount, path, object{"n": "start"})
	const writers = 8
	outcomes := make(chan error, writers)
	for n := range writers {
		go func() {
			made, err := s.KVv2(mount).Put(s.ctx, path, object{"writer": n}, api.WithCheckAndSet(1))
			if err == nil && made.VersionMetadata.Version != 2 {
				err = fmt.Errorf("the winner's version is %d", made.VersionMetadata.Version)
			}
			outcomes <- err
		}()
	}
	won := 0
	for range writers {
		if err := <-outcomes; err == nil {
			won++
		} else {
			fails(t, "a loser", err, 400, casMismatch)
		}
	}
	same(t, "winners", won, 1)
	same(t, "current_version", s.metadata(t, mount, path).CurrentVersion, 2)
}

func TestPatch(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	path := s.folder(t) + "/patch"
	begin := object{"keep": "k", "drop": "d", "list": []any{"a", "b"}, "deep": object{"keep": "k", "drop": "d"}}
	change := object{"drop": nil, "new": "n", "list": []any{"c"}, "deep": object{"drop": nil, "new": "n"}}
	merged := object{"keep": "k", "new": "n", "list": []any{"c"}, "deep": object{"keep": "k", "new": "n"}}

	for n, options := range [][]api.KVOption{
		nil,
		{api.WithMergeMethod(api.KVMergeMethodPatch)},
		{api.WithMergeMethod(api.KVMergeMethodPatch), api.WithCheckAndSet(5)},
	} {
		s.put(t, mount, path, begin)
		made, err := kv.Patch(s.ctx, path, change, options...)
		must(t, "patch", err)
		same(t, "version", made.VersionMetadata.Version, 2*n+2)
		same(t, "keys of the answer", keysOf(made.Raw.Data), versionKeys)
		same(t, "merged", s.get(t, mount, path).Data, merged)
	}
	_, err := kv.Patch(s.ctx, path, change, api.WithCheckAndSet(5))
	fails(t, "patch with a stale cas", err, 400, casMismatch)
	made, err := kv.Patch(s.ctx, path, object{})
	must(t, "patch with nothing", err)
	same(t, "it makes a version all the same", made.VersionMetadata.Version, 7)

	// The client's other way merges the uppermost level alone, and null is a value to it.
	s.put(t, mount, path, begin)
	_, err = kv.Patch(s.ctx, path, change, api.WithMergeMethod(api.KVMergeMethodReadWrite))
	must(t, "read and write", err)
	same(t, "merged by the client", s.get(t, mount, path).Data,
		object{"keep": "k", "drop": nil, "new": "n", "list": []any{"c"}, "deep": object{"drop": nil, "new": "n"}})
}

func TestPatchOfWhatIsNotThere(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	folder := s.folder(t)
	methods := []string{api.KVMergeMethodPatch, api.KVMergeMethodReadWrite}
	missing := func(what, path string) {
		t.Helper()
		for _, method := range methods {
			_, err := kv.Patch(s.ctx, path, object{"k": "v"}, api.WithMergeMethod(method))
			isMissing(t, what+" by "+method, err)
		}
	}

	missing("patch of nothing", folder+"/nothing")
	_, err := kv.GetMetadata(s.ctx, folder+"/nothing")
	isMissing(t, "patch of nothing leaves nothing", err)
	must(t, "metadata alone", kv.PutMetadata(s.ctx, folder+"/bare", api.KVMetadataPutInput{}))
	missing("patch of a secret without versions", folder+"/bare")
	for _, name := range []string{"/nothing", "/bare"} {
		answer, err := s.Logical().JSONMergePatch(s.ctx, mount+"/data/"+folder+name, object{"data": object{"k": "v"}})
		same(t, "errors of that", fails(t, "patch of "+name, err, 404).Errors, []string{})
		holds(t, "no secret in the answer", answer == nil)
	}

	// The answer to a patch of a deleted one shows it, unlike a read, without a level in between.
	for _, how := range []string{"deleted", "destroyed"} {
		path := folder + "/" + how
		s.put(t, mount, path, object{"k": "v"})
		if how == "deleted" {
			must(t, "delete", kv.Delete(s.ctx, path))
		} else {
			must(t, "destroy", kv.Destroy(s.ctx, path, []int{1}))
		}
		missing("patch of what is "+how, path)
		answer, err := s.Logical().JSONMergePatch(s.ctx, mount+"/data/"+path, object{"data": object{"k": "v"}})
		fails(t, "patch of what is "+how, err, 404)
		if answer == nil {
			t.Fatalf("patch of what is %s: the answer has no data", how)
		}
		same(t, "keys of the answer", keysOf(answer.Data), versionKeys)
		isNumber(t, "its version", answer.Data["version"], "1")
		same(t, "destroyed", answer.Data["destroyed"], any(how == "destroyed"))
		same(t, "has a deletion_time", answer.Data["deletion_time"] != "", how == "deleted")
		same(t, "no version was made", s.metadata(t, mount, path).CurrentVersion, 1)
	}
}

// What a client writes comes back as it was written: numbers to their last digit and in their own spelling.
func TestValues(t *testing.T) {
	s := connect(t)
	path := s.folder(t) + "/values"
	value := object{
		"text": "line\nbreak, \"quotes\", é, 漢字, 😀, \u0000, <&>", "empty": "", "true": true, "null": nil,
		"list": []any{"a", json.Number("2"), object{"deep": []any{}}}, "object": object{"zip": object{}},
		"long": json.Number("12345678901234567890123"), "over 2^53": json.Number("9007199254740993"),
		"tenth": json.Number("0.10"), "one": json.Number("1.0"), "power": json.Number("1E+400"), "zero": json.Number("-0.0"),
	}
	s.put(t, mount, path, value)
	same(t, "value", s.get(t, mount, path).Data, value)
	_, err := s.KVv2(mount).Patch(s.ctx, path, object{"one": json.Number("1.00")})
	must(t, "patch", err)
	value["one"] = json.Number("1.00")
	same(t, "value after a patch", s.get(t, mount, path).Data, value)

	s.put(t, mount, path, object{})
	same(t, "an empty value", s.get(t, mount, path).Data, object{})
	big := object{"big": strings.Repeat("x", 500*1024)}
	s.put(t, mount, path, big)
	same(t, "500 KiB", s.get(t, mount, path).Data, big)
	if _, err = s.KVv2(mount).Put(s.ctx, path, object{"big": strings.Repeat("x", 2<<20)}); err == nil {
		t.Error("2 MiB were taken")
	} else if answer := (*api.ResponseError)(nil); !errors.As(err, &answer) || answer.StatusCode != 400 && answer.StatusCode != 413 {
		t.Errorf("2 MiB: want 400 or 413, got %v", err)
	}
}

// Names that need escaping reach their secret, and lists show them as they were written.
func TestPaths(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	names := []string{
		"with blank", "UPPER", "é漢😀", "q?a=b", "h#sh", "100%", "%2F", "a:b=c@d-e_f.g+h", "data", "metadata", "secret",
		"deep/er/name",
	}
	for _, name := range names {
		s.put(t, mount, folder+"/"+name, object{"name": name})
	}
	for _, name := range names {
		same(t, name, s.get(t, mount, folder+"/"+name).Data, object{"name": name})
	}
	all, err := s.KVv2(mount).Scan(s.ctx, folder)
	must(t, "scan", err)
	for _, name := range names {
		holds(t, name+" is listed", all != nil && slices.Contains(all.Keys, name))
	}
	same(t, "a leading slash is dropped", s.get(t, mount, "/"+folder+"/UPPER").Data, object{"name": "UPPER"})

	s.put(t, mount, folder+"/"+strings.Repeat("l", 1024-len(folder)-1), object{"k": "v"})
	_, err = s.KVv2(mount).Put(s.ctx, folder+"/"+strings.Repeat("l", 1024-len(folder)), object{"k": "v"})
	fails(t, "1025 bytes of path", err, 400)
}

// A version is deleted by its deadline alone, and undeleting starts the clock again.
func TestDeleteVersionAfter(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	path := s.folder(t) + "/deadline"
	must(t, "set it", kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{DeleteVersionAfter: 2 * time.Second}))
	made := s.put(t, mount, path, object{"k": "v"})
	same(t, "deletion_time", made.VersionMetadata.DeletionTime, made.VersionMetadata.CreatedTime.Add(2*time.Second))
	alive := s.get(t, mount, path)
	same(t, "readable until then", alive.Data, object{"k": "v"})
	same(t, "its deletion_time shows", alive.VersionMetadata.DeletionTime, made.VersionMetadata.DeletionTime)

	time.Sleep(time.Until(made.VersionMetadata.DeletionTime) + 100*time.Millisecond)
	over := s.get(t, mount, path)
	holds(t, "no data after it", over.Data == nil)
	must(t, "delete", kv.Delete(s.ctx, path))
	same(t, "its deletion_time stays", s.get(t, mount, path).VersionMetadata.DeletionTime, made.VersionMetadata.DeletionTime)
	must(t, "undelete", kv.Undelete(s.ctx, path, []int{1}))
	back := s.get(t, mount, path)
	same(t, "undeleted", back.Data, object{"k": "v"})
	left := time.Until(back.VersionMetadata.DeletionTime)
	holds(t, fmt.Sprintf("two seconds from now, %v left", left), left > 0 && left <= 2*time.Second)
	must(t, "delete before the deadline", kv.Delete(s.ctx, path))
	isRecent(t, "an early deletion wins", s.get(t, mount, path).VersionMetadata.DeletionTime)
}
