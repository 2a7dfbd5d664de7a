import { text } from './text.js';

const LOCALE = text.locale;
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'always', style: 'long' });
const exact = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'long' });
const whole = new Intl.NumberFormat(LOCALE);
const lists = new Intl.ListFormat(LOCALE, { type: 'conjunction' });

const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;
/**
 * Units, their lengths, and from which distance on they are used: 45 days say more than one month.
 * @type {[Intl.RelativeTimeFormatUnit, number, number][]}
 */
const UNITS = [
  ['year', 365 * DAY, 730 * DAY],
  ['month', 30 * DAY, 90 * DAY],
  ['day', DAY, DAY],
  ['hour', 60 * MINUTE, 60 * MINUTE],
  ['minute', MINUTE, MINUTE],
];

/** How far an instant is from now: "in 3 days", "2 hours ago". @param {string} instant */
export function fromNow(instant, now = Date.now()) {
  const distance = Date.parse(instant) - now;
  for (const [unit, length, from] of UNITS) {
    if (Math.abs(distance) >= from) return relative.format(Math.trunc(distance / length), unit);
  }
  return text.time.now;
}

/** An instant in the viewer's zone, to the second, with the zone. @param {string} instant */
export const instantOf = (instant) => exact.format(new Date(instant));
/** @param {number} count */
export const number = (count) => whole.format(count);
/** @param {string[]} items "a, b and c" */
export const list = (items) => lists.format(items);

/**
 * An instant as a `datetime-local` field has it, in the viewer's zone.
 * @param {string | null} instant
 */
export function toLocalField(instant) {
  if (!instant) return '';
  const date = new Date(instant);
  return new Date(date.getTime() - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

/** The instant of a `datetime-local` field; null when it is empty. @param {string} field */
export function fromLocalField(field) {
  return field ? new Date(field).toISOString() : null;
}

/** Compares ids the way people read them. @param {string} a @param {string} b */
export const byName = (a, b) => a.localeCompare(b, LOCALE, { numeric: true });
