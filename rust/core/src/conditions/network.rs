//! `cidr`: texts that are addresses inside networks. Versions 4 and 6 never mix, mapped addresses included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::finding::{Code, Findings};
use super::source::{Source, quote};
use crate::value::{Token, ValueError, read};

const EXAMPLE: &str = r#"write "10.0.0.0/8", "2001:db8::/32", a single address, or a list of them"#;
/// The longest text that can be an address.
const LONGEST: usize = 45;

/// The addresses that begin with the same bits; those beyond the mask are zero in the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Network of version 4.
    V4 {
        /// The bits that its addresses begin with.
        prefix: u32,
        /// Ones where the prefix counts.
        mask: u32,
    },
    /// Network of version 6.
    V6 {
        /// The bits that its addresses begin with.
        prefix: u128,
        /// Ones where the prefix counts.
        mask: u128,
    },
}

impl Network {
    /// Return how many bits the addresses have in common.
    pub const fn bits(&self) -> u32 {
        match self {
            Self::V4 { mask, .. } => mask.count_ones(),
            Self::V6 { mask, .. } => mask.count_ones(),
        }
    }
}

/// A set of networks.
#[derive(Clone, Debug)]
pub struct Networks(Vec<Network>);

/// Parse an address; an IPv4-mapped one is of version 6.
#[inline]
pub fn address(text: &[u8]) -> Option<IpAddr> {
    if text.len() > LONGEST {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

impl Networks {
    /// Read the author's networks: one, or a list.
    #[must_use]
    pub fn compile(source: &Source, findings: &mut Findings) -> Option<Self> {
        let Source::List(items) = source else {
            return one(source, findings).map(|network| Self(vec![network]));
        };
        if items.is_empty() {
            findings.report(
                Code::Empty,
                "the list of networks is empty, so no address is in one",
                EXAMPLE,
            );
            return None;
        }
        let read: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| findings.at(index, |findings| one(item, findings)))
            .collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }

    /// Return the networks, in the author's order.
    pub fn list(&self) -> &[Network] {
        &self.0
    }

    /// True if the value at `at` is a text that is an address in one of them.
    pub fn holds(&self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let (Token::Str(text), _) = read(bytes, at)? else {
            return Ok(false);
        };
        Ok(match address(text) {
            Some(IpAddr::V4(address)) => self.0.iter().any(|network| match network {
                Network::V4 { prefix, mask } => address.to_bits() & mask == *prefix,
                Network::V6 { .. } => false,
            }),
            Some(IpAddr::V6(address)) => self.0.iter().any(|network| match network {
                Network::V6 { prefix, mask } => address.to_bits() & mask == *prefix,
                Network::V4 { .. } => false,
            }),
            None => false,
        })
    }
}

fn one(source: &Source, findings: &mut Findings) -> Option<Network> {
    let Source::Str(text) = source else {
        findings.report(
            Code::WrongType,
            format!(
                "cidr takes a network as a string or a list of them, not {}",
                source.describe()
            ),
            EXAMPLE,
        );
        return None;
    };
    match parse(text) {
        Ok(network) => Some(network),
        Err(remedy) => {
            findings.report(
                Code::InvalidNetwork,
                format!("{} is not a network", quote(text)),
                remedy,
            );
            None
        }
    }
}

/// Parse a network; return the remedy if the text is none.
fn parse(text: &str) -> Result<Network, String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| EXAMPLE.to_owned())?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 3 => {
            digits
                .parse()
                .ok()
                .filter(|bits| *bits <= width)
                .ok_or_else(|| format!("a prefix has 0 to {width} bits"))?
        }
        Some(_) => {
            return Err(format!(
                "write the number of bits after the slash, 0 to {width}"
            ));
        }
    };
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(width - bits).unwrap_or(0);
            let prefix = address.to_bits() & mask;
            if prefix != address.to_bits() {
                return Err(format!(
                    "the address has bits beyond its prefix: write {}/{bits}",
                    Ipv4Addr::from_bits(prefix)
                ));
            }
            Ok(Network::V4 { prefix, mask })
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
            let prefix = address.to_bits() & mask;
            if prefix != address.to_bits() {
                return Err(format!(
                    "the address has bits beyond its prefix: write {}/{bits}",
                    Ipv6Addr::from_bits(prefix)
                ));
            }
            Ok(Network::V6 { prefix, mask })
        }
    }
}
