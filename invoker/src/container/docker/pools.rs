//! Where bridges have their addresses: a network is cut into smaller ones, of which those count that nobody has.

use std::net::Ipv4Addr;

use bollard::models::Network as DockerNetwork;

use super::firewall::Network;

/// Docker's own pools, where its settings name none: each is cut into networks with so long a prefix.
pub const DEFAULTS: [(&str, i64); 7] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// How long the prefix of a bridge is that we choose: a thousand containers.
const PREFIX: u8 = 22;

/// The networks that a pool has room for, none of which overlaps with one that is taken.
pub fn free(pool: Network, prefix: u8, taken: &[Network]) -> impl Iterator<Item = Network> {
    let taken: Vec<_> = taken.iter().map(|network| network.range()).collect();
    let ((first, last), prefix) = (pool.range(), prefix.clamp(pool.prefix(), 32));
    let size = 1_u64 << (32 - u32::from(prefix));
    let count = (u64::from(last) - u64::from(first) + 1) / size;
    let starts = (0..count).filter_map(move |n| u32::try_from(u64::from(first) + n * size).ok());
    starts.map(move |start| Network::new(Ipv4Addr::from_bits(start), prefix)).filter(move |network| {
        let (first, last) = network.range();
        !taken.iter().any(|(from, to)| first <= *to && *from <= last)
    })
}

/// Those of a pool of ours.
pub fn ours(pool: Network, taken: &[Network]) -> impl Iterator<Item = Network> {
    free(pool, PREFIX, taken)
}

/// How many networks of these pools overlap with nothing that is taken.
pub fn left(pools: &[(&str, i64)], taken: &[Network]) -> usize {
    let free_in = |(base, prefix): &(&str, i64)| {
        let (Ok(base), Ok(prefix)) = (base.parse::<Network>(), u8::try_from(*prefix)) else { return 0 };
        free(base, prefix, taken).count()
    };
    pools.iter().map(free_in).sum()
}

/// What Docker's networks and this machine's routes take.
pub fn taken(networks: &[DockerNetwork]) -> Vec<Network> {
    let ipam = networks.iter().filter_map(|network| network.ipam.as_ref()?.config.as_ref()).flatten();
    let dockers = ipam.filter_map(|config| config.subnet.as_deref()?.parse().ok());
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    dockers.chain(routes(&table)).collect()
}

/// Where this machine has routes to, but for the default one, as `/proc/net/route` tells.
fn routes(table: &str) -> Vec<Network> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, mask) = (number(fields.get(1)?)?, number(fields.get(7)?)?);
        let prefix = u8::try_from(mask.count_ones()).ok().filter(|prefix| *prefix > 0)?;
        Some(Network::new(Ipv4Addr::from_bits(address), prefix))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn docker_has_thirty_one_networks_of_its_own() {
        assert_eq!(left(&DEFAULTS, &[]), 31);
        assert_eq!(left(&DEFAULTS, &networks(&["172.17.0.0/16", "172.20.1.0/24", "10.0.0.0/8"])), 29);
        assert_eq!(left(&DEFAULTS, &networks(&["172.16.0.0/12"])), 16);
        assert_eq!(left(&DEFAULTS, &networks(&["0.0.0.0/0"])), 0);
        assert_eq!(left(&[("10.9.0.0/24", 28), ("nonsense", 16)], &networks(&["10.9.0.17/32"])), 15);
    }

    #[test]
    fn a_pool_of_ours_is_cut_and_a_small_one_taken_whole() {
        let pool = "10.9.0.0/16".parse().unwrap();
        let taken = networks(&["10.9.0.0/24", "10.9.7.1/32"]);
        let free: Vec<_> = ours(pool, &taken).take(2).collect();
        assert_eq!(free, networks(&["10.9.8.0/22", "10.9.12.0/22"]));
        let small = "10.9.0.16/28".parse().unwrap();
        assert_eq!(ours(small, &[]).collect::<Vec<_>>(), [small]);
        assert_eq!(ours(small, &taken).count(), 0);
        assert!(pool.holds(free[0]) && pool.holds(pool) && !free[0].holds(pool));
    }

    #[test]
    fn routes_are_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(routes(table), networks(&["172.17.0.0/16"]));
    }
}
