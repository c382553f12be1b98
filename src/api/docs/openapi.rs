//! stub
/// stub
pub fn document(_: Option<crate::domain::OkmsId>) -> Vec<u8> {
    Vec::new()
}
