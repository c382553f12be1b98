//! Lists of large stores: page by page, and folder by folder.

use super::{
    Effort, Outcome,
    client::{Connection, micros, timed},
    growth::{FEW, FOLDERS},
    kv::{Caller, Peer},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

/// How many secrets one folder holds.
pub(super) const NAMES: usize = 1_000;
pub(super) const FOLDER: &str = "bench/list";
/// How many lists, and how many pages of each kind, a turn has.
const LISTS: usize = 50;
const PAGES: usize = 100;
const PAGE: usize = 100;

/// The secrets of that folder.
pub(super) fn path(number: usize) -> String {
    format!("{FOLDER}/name-{number:04}")
}

pub(super) async fn measure(
    few: (&Region, &Server),
    many: (&Region, &Server),
    effort: Effort,
) -> Outcome<Vec<Row>> {
    let mut rows = pages(many.0, many.1, effort).await?;
    rows.extend(names(few, many, effort).await?);
    Ok(rows)
}

/// The names in a folder of 1,000 secrets and in the root, which has 2,000 folders, of both stores
/// by turns.
async fn names(
    few: (&Region, &Server),
    many: (&Region, &Server),
    effort: Effort,
) -> Outcome<Vec<Row>> {
    let mut few = Peer::okmsd(few.0, few.1)?.connect().await?;
    let mut many = Peer::okmsd(many.0, many.1)?.connect().await?;
    let mut rows = Vec::new();
    // The root has the folder of this bench, too.
    for (folder, count, what, most) in [
        (FOLDER, NAMES, format!("a folder of {NAMES} secrets"), 1.3),
        // A seek goes down as many steps as the tree is high.
        ("", FOLDERS + 1, format!("a root of {FOLDERS} folders"), 2.0),
    ] {
        for caller in [&mut few, &mut many] {
            let found = caller.count(folder).await?;
            if found != count {
                return Err(format!("the list of {what} has {found} names").into());
            }
        }
        let mut rounds = Rounds::default();
        for round in 0..effort.rounds {
            note(format_args!("lists of {what}, turn {}", round + 1));
            let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
            for _ in 0..LISTS {
                of_few.push(list(&mut few, folder).await?);
                of_many.push(list(&mut many, folder).await?);
            }
            rounds.push(median(of_many), median(of_few));
        }
        rows.push(rounds.row(
            format!("p50 of a list of {what} among {} secrets, beside {FEW}", effort.secrets),
            " us",
            Budget::AtMost(most),
        ));
    }
    Ok(rows)
}

async fn list(caller: &mut Caller, folder: &str) -> Outcome<f64> {
    Ok(micros(timed(caller.list(folder)).await?))
}

/// Pages of 100 in the middle and at the end of the list, beside the first one.
async fn pages(region: &Region, server: &Server, effort: Effort) -> Outcome<Vec<Row>> {
    note("walking through the list");
    let url = format!("/api/{}/v2/secret", region.id()?);
    let mut connection = region.client(server)?.connect().await?;
    let mut cursors = vec![None];
    while let Some(next) =
        page(&mut connection, &url, cursors.last().and_then(Option::as_deref)).await?
    {
        cursors.push(Some(next));
    }
    let secrets = effort.secrets + NAMES;
    if cursors.len() != secrets.div_ceil(PAGE) {
        let pages = cursors.len();
        return Err(format!("the list has {pages} pages of {PAGE} for {secrets} secrets").into());
    }
    let at = |index: usize| cursors.get(index).cloned().flatten();
    // The last page may be a short one.
    let (middle, end) = (at(cursors.len() / 2), at(cursors.len() - 2));
    let (mut in_middle, mut at_end) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("pages of the list, turn {}", round + 1));
        let mut times = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAGES {
            times.0.push(micros(timed(page(&mut connection, &url, None)).await?));
            times.1.push(micros(timed(page(&mut connection, &url, middle.as_deref())).await?));
            times.2.push(micros(timed(page(&mut connection, &url, end.as_deref())).await?));
        }
        let first = median(times.0);
        in_middle.push(median(times.1), first);
        at_end.push(median(times.2), first);
    }
    let what = |place: &str| {
        format!("p50 of a page of {PAGE} {place} of {} secrets, beside the first", effort.secrets)
    };
    Ok(vec![
        in_middle.row(what("in the middle"), " us", Budget::AtMost(1.1)),
        at_end.row(what("at the end"), " us", Budget::AtMost(1.1)),
    ])
}

/// Asks for a page; the cursor of the next one.
async fn page(
    connection: &mut Connection,
    url: &str,
    cursor: Option<&str>,
) -> Outcome<Option<String>> {
    let size = PAGE.to_string();
    let mut headers = vec![("x-pagination-size", &*size)];
    headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
    let answer = connection.call(hyper::Method::GET, url, &headers, bytes::Bytes::new()).await?;
    let next = answer
        .headers()
        .get("x-pagination-cursor-next")
        .map(|next| next.to_str().map(str::to_owned));
    Ok(next.transpose()?)
}
